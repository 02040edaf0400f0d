/* `auth` by tokens: { "jwt": { "keys", "issuer", "audience", "leeway", "copy", "cookie" } }. */
#include "policy/jwt_auth.h"
#include "config/build_sources.h"
#include "config/policy_readers.h"
#include "policy/key_url.h"

#include <string.h>

enum { LEEWAY_MS = 30 * 1000, LEEWAY_MOST_MS = 3600 * 1000, COPIES_MOST = 32, AUDIENCES_MOST = 32 };

/* --- where keys come from ---------------------------------------------------------------------
 */

static void read_keys(struct reader *reader, const struct json_node *node, void *into)
{
    struct jwt_auth *auth = into;
    struct key_url url;
    struct error error;
    struct slice text;

    if (!reader_text(reader, node, "a file, or a URL", &text))
        return;
    if (key_url_is_meant(text) && !key_url_parse(text, &url, &error)) {
        reader_error(reader, node, AT_VALUE, "\"%s\": %s", text.at, error.message);
        return;
    }
    auth->keys_text = arena_copy(&auth->policy.arena, text);
    auth->keys = read_source(reader, node, SOURCE_KEYS, true, &auth->policy);
}

/* --- what a token has to say --------------------------------------------------------------------
 */

/* A copy in the policy's arena; false, with a problem: it is no text, or an empty one. */
static bool read_word(struct reader *reader, const struct json_node *node, const char *what,
                      struct jwt_auth *auth, struct slice *word)
{
    struct slice text;

    if (!reader_text(reader, node, what, &text))
        return false;
    if (text.len == 0) {
        reader_error(reader, node, AT_VALUE, "%s is expected, not an empty text", what);
        return false;
    }
    *word = slice_make(arena_text(&auth->policy.arena, text), text.len);
    return true;
}

static void read_issuer(struct reader *reader, const struct json_node *node, void *into)
{
    struct jwt_auth *auth = into;

    read_word(reader, node, "an issuer, as tokens name it in \"iss\",", auth, &auth->rules.issuer);
}

static void read_audience(struct reader *reader, const struct json_node *node, void *into)
{
    static const char what[] = "an audience, as tokens name it in \"aud\",";
    struct jwt_auth *auth = into;
    struct slice *list = arena_alloc(&auth->policy.arena, AUDIENCES_MOST * sizeof(*list));
    bool is_list = json_is_array(node->value);
    const struct json_node *each = is_list ? node->first : node;

    if (is_list && !each)
        reader_error(reader, node, AT_VALUE, "an empty list of audiences lets no token pass");
    for (; each; each = is_list ? each->next : NULL) {
        if (auth->rules.audience_count == AUDIENCES_MOST) {
            reader_error(reader, each, AT_VALUE, "there can be %d audiences at most",
                         AUDIENCES_MOST);
            break;
        }
        if (read_word(reader, each, what, auth, &list[auth->rules.audience_count]))
            auth->rules.audience_count++;
    }
    auth->rules.audiences = list;
}

static void read_leeway(struct reader *reader, const struct json_node *node, void *into)
{
    struct jwt_auth *auth = into;

    if (!reader_duration(reader, node, &auth->leeway_ms))
        return;
    if (auth->leeway_ms > LEEWAY_MOST_MS)
        reader_error(reader, node, AT_VALUE, "1h is the most that clocks can be said to differ");
    auth->rules.leeway_s = (auth->leeway_ms + 999) / 1000;
}

/* --- what backends are told ---------------------------------------------------------------------
 */

static bool check_field(struct reader *reader, const struct json_node *node, struct slice name,
                        const struct jwt_auth *auth, const struct jwt_copy *list)
{
    if (!http_is_token(name)) {
        reader_error(reader, node, AT_VALUE, "\"%s\" is no name of a header", name.at);
        return false;
    }
    if (field_id_from(name) != FIELD_OTHER || field_id_with_underscores(name) != FIELD_OTHER) {
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" cannot stand here: it is one that the gateway acts on or says itself",
                     name.at);
        return false;
    }
    for (unsigned i = 0; i < auth->rules.copy_count; i++)
        if (slice_equal_nocase(list[i].field, name)) {
            reader_error(reader, node, AT_VALUE, "\"%s\" is there already, for the claim \"%s\"",
                         name.at, list[i].claim.at);
            return false;
        }
    return true;
}

static void read_copy(struct reader *reader, const struct json_node *node, void *into)
{
    struct jwt_auth *auth = into;
    struct jwt_copy *list = arena_alloc(&auth->policy.arena, COPIES_MOST * sizeof(*list));

    if (!reader_is_object(reader, node))
        return;
    for (const struct json_node *each = node->first; each; each = each->next) {
        struct jwt_copy *copy = &list[auth->rules.copy_count];
        if (auth->rules.copy_count == COPIES_MOST) {
            reader_error(reader, each, AT_KEY, "%d claims can be copied at most", COPIES_MOST);
            break;
        }
        if (slice_is_empty(each->key)) {
            reader_error(reader, each, AT_KEY, "the name of a claim is missing");
            continue;
        }
        if (!read_word(reader, each, "the name of a header", auth, &copy->field) ||
            !check_field(reader, each, copy->field, auth, list))
            continue;
        copy->claim = slice_make(arena_text(&auth->policy.arena, each->key), each->key.len);
        auth->rules.copy_count++;
    }
    auth->rules.copies = list;
}

static void read_cookie(struct reader *reader, const struct json_node *node, void *into)
{
    struct jwt_auth *auth = into;

    if (read_word(reader, node, "the name of a cookie", auth, &auth->cookie) &&
        !http_is_token(auth->cookie))
        reader_error(reader, node, AT_VALUE, "\"%s\" is no name of a cookie", auth->cookie.at);
}

static const struct rule jwt_list[] = {
    {"keys", 0, read_keys},     {"issuer", 0, read_issuer}, {"audience", 0, read_audience},
    {"leeway", 0, read_leeway}, {"copy", 0, read_copy},     {"cookie", 0, read_cookie},
};
static const struct rules jwt_rules = {jwt_list, sizeof(jwt_list) / sizeof(jwt_list[0]), NULL};

struct policy *jwt_auth_read(struct reader *reader, const struct json_node *node,
                             const struct policy_place *place)
{
    struct jwt_auth *auth = jwt_auth_new();
    size_t errors = reader->problems->errors;

    auth->leeway_ms = LEEWAY_MS;
    auth->rules.leeway_s = LEEWAY_MS / 1000;
    if (reader_object(reader, node, &jwt_rules, place->here, auth) && !json_member(node, "keys"))
        reader_missing(reader, node, "keys", "a file of keys (a JWK Set), or a URL");
    if (reader->problems->errors == errors)
        return &auth->policy;
    policy_unref(&auth->policy);
    return NULL;
}
