/* `allow` and `deny`: lists of networks. */
#include "policy/ip_filter.h"

#include "config/policy_readers.h"
#include "net/prefix_set.h"

#include <stdlib.h>

struct network_list {
    struct network *networks;
    unsigned count;
};

/* False: there is a problem, maybe of some of its elements. */
static bool read_list(struct reader *reader, const struct json_node *node,
                      struct network_list *list)
{
    size_t written = 0;

    reader_networks(reader, node, &list->networks, &list->count);
    for (const struct json_node *element = node->first; element; element = element->next)
        written++;
    return json_is_array(node->value) && list->count == written;
}

/* `deny` wins for what stands in both at one place, which is seldom meant. `denied` is sorted. */
static void warn_of_both(struct reader *reader, const struct json_node *node,
                         const struct network_list *denied)
{
    const struct json_node *allow = json_member(node->parent, "allow");

    if (!allow || !json_is_array(allow->value) || denied->count == 0)
        return;
    for (const struct json_node *element = allow->first; element; element = element->next) {
        struct network network;
        struct error error;
        if (json_is_string(element->value) &&
            network_parse(reader_node_text(element), &network, &error) &&
            bsearch(&network, denied->networks, denied->count, sizeof(network), network_compare))
            reader_warning(reader, element, AT_VALUE,
                           "\"%s\" stands in \"deny\" too, which wins: it is denied",
                           reader_node_text(element).at);
    }
}

struct policy *allow_read(struct reader *reader, const struct json_node *node,
                          const struct policy_place *place)
{
    struct network_list list = {0};

    (void)place;
    if (!read_list(reader, node, &list))
        return NULL;
    return ip_filter_new(POLICY_ALLOW, list.networks, list.count);
}

struct policy *deny_read(struct reader *reader, const struct json_node *node,
                         const struct policy_place *place)
{
    struct policy *policy;
    struct network_list list = {0};

    (void)place;
    if (!read_list(reader, node, &list))
        return NULL;
    policy = ip_filter_new(POLICY_DENY, list.networks, list.count);
    warn_of_both(reader, node, &list);
    return policy;
}
