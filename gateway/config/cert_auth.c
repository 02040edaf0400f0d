/* `auth.client_cert`: whose certificates are let in. */
#include "policy/cert_auth.h"

#include "config/cert_auth.h"
#include "config/copied_field.h"
#include "config/policy_readers.h"

static void add_subject(struct reader *reader, const struct json_node *node, struct cert_auth *auth)
{
    struct slice subject;

    if (!reader_text(reader, node, "a subject such as \"CN=alice,O=Example\", or \"*\"", &subject))
        return;
    if (subject.len == 0)
        reader_error(reader, node, AT_VALUE,
                     "a subject is empty; \"*\" stands for every certificate that is verified");
    auth->takes_any |= slice_equal(subject, slice_of("*"));
    auth->subjects[auth->subject_count++] = arena_copy(&auth->policy.arena, subject);
}

static void read_subjects(struct reader *reader, const struct json_node *node, void *into)
{
    struct cert_auth *auth = into;
    size_t most = 0;

    if (!reader_is_list(reader, node, "a list of subjects such as \"CN=alice,O=Example\""))
        return;
    if (!node->first)
        reader_error(reader, node, AT_VALUE,
                     "the list is empty; \"*\" stands for every certificate that is verified");
    for (const struct json_node *element = node->first; element; element = element->next)
        most++;
    auth->subjects = arena_alloc(&auth->policy.arena, (most + 1) * sizeof(*auth->subjects));
    for (const struct json_node *element = node->first; element; element = element->next)
        add_subject(reader, element, auth);
}

static void read_copy(struct reader *reader, const struct json_node *node, void *into)
{
    struct cert_auth *auth = into;

    read_copied_field(reader, node, &auth->policy.arena, &auth->copy);
}

static const struct rule list[] = {
    {"subjects", 0, read_subjects},
    {"copy", 0, read_copy},
};
static const struct rules rules = {list, sizeof(list) / sizeof(list[0]), NULL};

struct policy *cert_auth_read(struct reader *reader, const struct json_node *node,
                              const struct policy_place *place)
{
    struct cert_auth *auth = cert_auth_new();
    size_t errors = reader->problems->errors;

    (void)place;
    if (reader_object(reader, node, &rules, 0, auth) && !json_member(node, "subjects"))
        reader_missing(reader, node, "subjects", "[ \"*\" ], for example");
    if (reader->problems->errors == errors)
        return &auth->policy;
    policy_unref(&auth->policy);
    return NULL;
}

/* Such a route would refuse everybody. */
void cert_auth_check_host(struct reader *reader, const struct json_node *node,
                          const struct host *host, const struct client_rule *inherited)
{
    const struct client_rule *rule = host->clients ? host->clients : inherited;

    if (rule->auth != CLIENT_AUTH_OFF)
        return;
    for (unsigned i = 0; i < host->policy_count; i++) {
        if (!policy_is_cert_auth(host->policies[i]))
            continue;
        reader_error(reader, node, AT_KEY,
                     "\"auth\" by \"client_cert\" has no effect here but to refuse everybody: this "
                     "host asks for no client certificate; say by which authority's it is to ask, "
                     "in \"tls\": { \"client_ca\": … }, or turn it off by \"auth\": null");
        return;
    }
}
