/* `auth`: exactly one method, as methods exclude one another. */
#include "config/policy_readers.h"
#include "config/suggest.h"

static const struct {
    const char *key;
    policy_reader *read; /* NULL: not supported yet */
} methods[] = {
    {"basic", basic_auth_read},
    {"forward", forward_auth_read},
    {"jwt", jwt_auth_read},
    {"client_cert", cert_auth_read},
};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static int find_method(struct slice key)
{
    for (int i = 0; i < METHODS; i++)
        if (slice_equal(key, slice_of(methods[i].key)))
            return i;
    return -1;
}

static void fail_unknown(struct reader *reader, const struct json_node *member)
{
    struct suggestion near;

    suggestion_init(&near, member->key);
    for (int i = 0; i < METHODS; i++)
        suggestion_consider(&near, slice_of(methods[i].key));
    reader_error_suggest(reader, member, AT_KEY, suggestion_text(&near), "unknown key \"%s\"",
                         member->key.at);
}

struct policy *auth_read(struct reader *reader, const struct json_node *node,
                         const struct policy_place *place)
{
    const struct json_node *member = node->first;
    int method;

    if (!reader_is_object(reader, node))
        return NULL;
    if (!member) {
        reader_error(reader, node, AT_VALUE,
                     "one of \"basic\", \"forward\", \"jwt\" and \"client_cert\" is missing");
        return NULL;
    }
    method = find_method(member->key);
    if (method < 0) {
        fail_unknown(reader, member);
        return NULL;
    }
    if (member->next) {
        reader_error(reader, member->next, AT_KEY,
                     "only one of \"basic\", \"forward\", \"jwt\" and \"client_cert\" can stand "
                     "here");
        return NULL;
    }
    if (!methods[method].read) {
        reader_error(reader, member, AT_KEY, "\"%s\" is not supported yet", member->key.at);
        return NULL;
    }
    return methods[method].read(reader, member, place);
}
