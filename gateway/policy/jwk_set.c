#include "policy/jwk_set.h"

#include "base/base64url.h"
#include "base/json.h"

#include <stdlib.h>

/* What is being read, and what is wrong with it. */
struct reading {
    struct arena *arena; /* of complaints */
    struct source_complaint **complaints;
    struct jwk_set *set;
};

/* Of one key: always false, so that it can be returned. */
static bool leave_out(struct reading *reading, const struct json_node *entry, const char *what)
{
    source_complain(reading->complaints, reading->arena, entry->line,
                    "keys[%u]: %s; it is left out", entry->index, what);
    return false;
}

/* --- members -------------------------------------------------------------------------------- */

/* Empty: it is not there, or no text. */
static struct slice text_of(const struct json_node *entry, const char *key)
{
    const struct json_node *member = json_member(entry, key);

    if (member == NULL || !json_is_string(member->value))
        return slice_make(NULL, 0);
    return slice_make(json_string_value(member->value), json_string_length(member->value));
}

/* Of a number or a coordinate; in the arena. Empty: it is not there, or not base64url. */
static struct slice bytes_of(struct reading *reading, const struct json_node *entry,
                             const char *key)
{
    struct slice letters = text_of(entry, key);
    size_t count = letters.len * 3 / 4;
    char *bytes;

    if (letters.len == 0)
        return slice_make(NULL, 0);
    bytes = arena_bytes(reading->arena, count);
    return base64url_read(letters, (uint8_t *)bytes, count) ? slice_make(bytes, count)
                                                            : slice_make(NULL, 0);
}

static const struct json_node *find_repeated(const struct json_node *node)
{
    for (const struct json_node *child = node->first; child != NULL; child = child->next) {
        const struct json_node *found = child->is_repeated ? child : find_repeated(child);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static bool is_private(const struct json_node *entry)
{
    static const char *const members[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (json_member(entry, members[i]) != NULL)
            return true;
    return false;
}

/* --- one key -------------------------------------------------------------------------------- */

/* What it is for (RFC 7517 sections 4.2 and 4.3): silent as long as it says so in order. */
static bool is_for_signatures(struct reading *reading, const struct json_node *entry,
                              bool *is_in_order)
{
    const struct json_node *use = json_member(entry, "use"), *ops = json_member(entry, "key_ops");

    *is_in_order = true;
    if (use != NULL && !json_is_string(use->value))
        *is_in_order = leave_out(reading, entry, "\"use\" is no text");
    else if (ops != NULL && !json_is_array(ops->value))
        *is_in_order = leave_out(reading, entry, "\"key_ops\" is no list");
    if (!*is_in_order)
        return false;
    if (use != NULL && !slice_equal(text_of(entry, "use"), slice_of("sig")))
        return false;
    if (ops == NULL)
        return true;
    for (const struct json_node *op = ops->first; op != NULL; op = op->next)
        if (json_is_string(op->value) && strcmp(json_string_value(op->value), "verify") == 0)
            return true;
    return false;
}

static struct public_key *make_key(struct reading *reading, const struct json_node *entry,
                                   const char **why)
{
    struct slice type = text_of(entry, "kty"), curve = text_of(entry, "crv");

    if (slice_equal(type, slice_of("RSA"))) {
        struct slice n = bytes_of(reading, entry, "n"), e = bytes_of(reading, entry, "e");
        *why = "\"n\" and \"e\" are needed, in base64url without padding";
        return n.len > 0 && e.len > 0 ? public_key_new_rsa(n, e, why) : NULL;
    }
    if (slice_equal(type, slice_of("EC"))) {
        struct slice x = bytes_of(reading, entry, "x"), y = bytes_of(reading, entry, "y");
        bool is_p256 = slice_equal(curve, slice_of("P-256"));
        *why = "\"crv\" is none of P-256 and P-384";
        if (!is_p256 && !slice_equal(curve, slice_of("P-384")))
            return NULL;
        *why = "\"x\" and \"y\" are needed, in base64url without padding";
        return x.len > 0 && y.len > 0
                   ? public_key_new_ec(is_p256 ? PUBLIC_KEY_P256 : PUBLIC_KEY_P384, x, y, why)
                   : NULL;
    }
    if (slice_equal(type, slice_of("OKP"))) {
        struct slice x = bytes_of(reading, entry, "x");
        *why = "\"crv\" is not Ed25519";
        if (!slice_equal(curve, slice_of("Ed25519")))
            return NULL;
        *why = "\"x\" is needed, in base64url without padding";
        return x.len > 0 ? public_key_new_ed25519(x, why) : NULL;
    }
    *why = "\"kty\" is none of RSA, EC and OKP";
    return NULL;
}

/* "alg" and "kid"; both may be missing. */
static bool read_names(struct reading *reading, const struct json_node *entry, struct jwk *jwk)
{
    const struct json_node *kid = json_member(entry, "kid"), *alg = json_member(entry, "alg");

    if (kid != NULL && !json_is_string(kid->value))
        return leave_out(reading, entry, "\"kid\" is no text");
    if (kid != NULL)
        jwk->kid = arena_copy(&reading->set->arena, text_of(entry, "kid"));
    if (kid != NULL && jwk->kid.at == NULL)
        jwk->kid.at = "";
    jwk->has_scheme = alg != NULL;
    if (alg != NULL && !signature_scheme_from(text_of(entry, "alg"), &jwk->scheme))
        return leave_out(reading, entry,
                         "\"alg\" is none of RS256, RS384, RS512, PS256, ES256, ES384 and EdDSA");
    if (alg != NULL && !public_key_fits(jwk->key, jwk->scheme))
        return leave_out(reading, entry, "\"alg\" does not fit its \"kty\" and \"crv\"");
    return true;
}

/* False: nothing of it is used. */
static bool read_key(struct reading *reading, const struct json_node *entry, struct jwk *jwk)
{
    const char *why;
    bool is_in_order;

    if (!json_is_object(entry->value))
        return leave_out(reading, entry, "a key is an object");
    if (find_repeated(entry) != NULL)
        return leave_out(reading, entry, "a member stands in it twice");
    if (slice_equal(text_of(entry, "kty"), slice_of("oct")) || json_member(entry, "k") != NULL)
        return leave_out(reading, entry,
                         "a symmetric key: who can check tokens with it can make them, too; have "
                         "them signed with RSA, EC or Ed25519");
    if (is_private(entry))
        return leave_out(reading, entry,
                         "a private key lies here: who reads this can make tokens; replace the "
                         "key pair, and give out the public members alone");
    if (!is_for_signatures(reading, entry, &is_in_order))
        return false;
    jwk->key = make_key(reading, entry, &why);
    return jwk->key != NULL ? read_names(reading, entry, jwk) : leave_out(reading, entry, why);
}

/* --- the set -------------------------------------------------------------------------------- */

static void free_set(struct source_content *content)
{
    struct jwk_set *set = container_of(content, struct jwk_set, content);

    for (unsigned i = 0; i < set->count; i++)
        public_key_free(set->keys[i].key);
    free(set->keys);
    arena_clear(&set->arena);
    free(set);
}

/* The list of keys; NULL: it is no such set. */
static const struct json_node *find_keys(struct reading *reading, const struct json_node *root)
{
    const struct json_node *keys = json_is_object(root->value) ? json_member(root, "keys") : NULL;

    if (keys == NULL || !json_is_array(keys->value)) {
        source_complain(reading->complaints, reading->arena, root->line,
                        "this is no set of keys: { \"keys\": [ { \"kty\": … }, … ] } is expected");
        return NULL;
    }
    for (const struct json_node *member = root->first; member != NULL; member = member->next)
        if (member->is_repeated) {
            source_complain(reading->complaints, reading->arena, member->key_line,
                            "\"%s\" stands here twice", member->key.at);
            return NULL;
        }
    return keys;
}

static void read_keys(struct reading *reading, const struct json_node *keys)
{
    struct jwk_set *set = reading->set;

    set->keys = memory_array(JWK_SET_KEYS_MOST, sizeof(struct jwk));
    for (const struct json_node *entry = keys->first; entry != NULL; entry = entry->next) {
        struct jwk jwk = {0};
        if (set->count == JWK_SET_KEYS_MOST) {
            source_complain(reading->complaints, reading->arena, entry->line,
                            "there are more than %d keys: those behind are left out",
                            JWK_SET_KEYS_MOST);
            return;
        }
        if (read_key(reading, entry, &jwk))
            set->keys[set->count++] = jwk;
        else
            public_key_free(jwk.key);
    }
    if (set->count == 0)
        source_complain(reading->complaints, reading->arena, keys->line,
                        "there is no key that signatures can be checked with");
}

struct source_content *jwk_set_parse(struct slice bytes, struct arena *arena,
                                     struct source_complaint **complaints)
{
    struct reading reading = {.arena = arena, .complaints = complaints};
    struct json_document document;
    struct json_mistake mistake;
    const struct json_node *keys;

    if (bytes.len > JWK_SET_BYTES_MOST) {
        source_complain(complaints, arena, 0, "it is larger than 1 MiB");
        return NULL;
    }
    if (!json_document_read(&document, bytes, &mistake)) {
        source_complain(complaints, arena, mistake.line, "%s", mistake.message);
        return NULL;
    }
    reading.set = memory_new(sizeof(*reading.set));
    source_content_init(&reading.set->content, free_set);
    arena_init_small(&reading.set->arena);
    keys = find_keys(&reading, document.root);
    if (keys != NULL)
        read_keys(&reading, keys);
    json_document_clear(&document);
    if (reading.set->count > 0)
        return &reading.set->content;
    free_set(&reading.set->content);
    return NULL;
}
