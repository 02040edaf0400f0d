/* `auth.basic`: whose passwords count, and what clients are told to be asked for. */
#include "policy/basic_auth.h"

#include "config/build_sources.h"
#include "config/copied_field.h"
#include "config/policy_readers.h"

struct basic_reader {
    struct basic_auth *auth;
    bool is_wrong;
};

static void read_users(struct reader *reader, const struct json_node *node, void *into)
{
    struct basic_reader *b = into;

    b->auth->users = read_source(reader, node, SOURCE_USERS, false, &b->auth->policy);
    b->is_wrong |= !b->auth->users;
    b->auth->users_text = arena_copy(&b->auth->policy.arena, reader_node_text(node));
}

static void read_realm(struct reader *reader, const struct json_node *node, void *into)
{
    struct basic_reader *b = into;
    struct slice realm;

    if (!reader_text(reader, node, "a text such as \"staff only\"", &realm)) {
        b->is_wrong = true;
    } else if (!http_is_field_value(realm) || slice_find(realm, '\t') >= 0) {
        reader_error(reader, node, AT_VALUE, "a realm holds no control characters");
        b->is_wrong = true;
    } else {
        basic_auth_set_realm(b->auth, realm);
    }
}

static void read_copy(struct reader *reader, const struct json_node *node, void *into)
{
    struct basic_reader *b = into;

    if (!read_copied_field(reader, node, &b->auth->policy.arena, &b->auth->copy))
        b->is_wrong = true;
}

static const struct rule list[] = {
    {"users", 0, read_users},
    {"realm", 0, read_realm},
    {"copy", 0, read_copy},
};
static const struct rules rules = {list, sizeof(list) / sizeof(list[0]), NULL};

struct policy *basic_auth_read(struct reader *reader, const struct json_node *node,
                               const struct policy_place *place)
{
    struct basic_reader b = {.auth = basic_auth_new()};
    size_t errors = reader->problems->errors;

    (void)place;
    basic_auth_set_realm(b.auth, slice_of("restricted"));
    if (reader_object(reader, node, &rules, 0, &b) && !json_member(node, "users"))
        reader_missing(reader, node, "users", "\"users.htpasswd\", for example");
    if (!b.is_wrong && reader->problems->errors == errors)
        return &b.auth->policy;
    policy_unref(&b.auth->policy);
    return NULL;
}
