#include "policy/jwt.h"

#include "base/base64url.h"
#include "base/json_scan.h"
#include "http/cookie.h"

#include <math.h>

/* The end of the year 9999: what is beyond is no time that anybody meant. */
#define TIME_MOST 253402300799.0

const char *jwt_fault_text(enum jwt_fault fault)
{
    static const char *const texts[JWT_FAULTS] = {
        [JWT_GOOD] = "it is good",
        [JWT_TOO_LONG] = "it is longer than 8 KiB",
        [JWT_MALFORMED] = "it is not three parts of base64url",
        [JWT_BAD_HEADER] = "its header is none that can be taken",
        [JWT_UNKNOWN_SCHEME] = "its \"alg\" is none that is taken",
        [JWT_UNKNOWN_KEY] = "no key has its \"kid\"",
        [JWT_NO_FITTING_KEY] = "its \"alg\" does not fit the key",
        [JWT_BAD_SIGNATURE] = "its signature is wrong",
        [JWT_BAD_CLAIMS] = "its claims are none that can be taken",
        [JWT_EXPIRED] = "it is out of date",
        [JWT_NOT_YET_VALID] = "it is not valid yet",
        [JWT_WRONG_ISSUER] = "it is of another issuer",
        [JWT_WRONG_AUDIENCE] = "it is for another audience",
        [JWT_UNFIT_CLAIM] = "a claim that is copied is no value of a header",
    };

    return fault < JWT_FAULTS ? texts[fault] : "";
}

/* --- parts ---------------------------------------------------------------------------------- */

/* False: it is not what base64url makes of some bytes. */
static bool decode(struct slice letters, struct arena *arena, struct slice *bytes)
{
    size_t count = letters.len * 3 / 4;
    char *room = arena_bytes(arena, count + 1);

    *bytes = slice_make(room, count);
    return base64url_read(letters, (uint8_t *)room, count);
}

/* Exactly three parts, none of them empty. */
static bool split(struct slice token, struct slice parts[3])
{
    for (int i = 0; i < 3; i++) {
        ptrdiff_t dot = slice_find(token, '.');
        if ((dot < 0) != (i == 2))
            return false;
        parts[i] = dot < 0 ? token : slice_make(token.at, (size_t)dot);
        token = dot < 0 ? token : slice_skip(token, (size_t)dot + 1);
        if (parts[i].len == 0)
            return false;
    }
    return true;
}

/* No key stands twice, at any depth. */
static bool is_unambiguous(const struct json_node *node)
{
    for (const struct json_node *child = node->first; child != NULL; child = child->next)
        if (child->is_repeated || !is_unambiguous(child))
            return false;
    return true;
}

/* Before any value is made: what stands twice costs nobody a second reading. */
static bool is_worth_reading(struct slice text)
{
    struct json_mistake mistake;
    struct arena scratch = {0};
    const struct json_node *root = json_scan(text, &scratch, &mistake);
    bool is_good = root != NULL && is_unambiguous(root);

    arena_clear(&scratch);
    return is_good;
}

/* The document is there to be cleared when this is true. */
static bool read_object(struct slice text, struct json_document *document)
{
    struct json_mistake mistake;

    if (!is_worth_reading(text) || !json_document_read(document, text, &mistake))
        return false;
    if (json_is_object(document->value))
        return true;
    json_document_clear(document);
    return false;
}

/* Empty: it is no text. */
static struct slice text_of(const struct json_node *member)
{
    return member != NULL && json_is_string(member->value)
               ? slice_make(json_string_value(member->value), json_string_length(member->value))
               : slice_make(NULL, 0);
}

/* --- the header ----------------------------------------------------------------------------- */

static enum jwt_fault read_header(const struct json_node *header, struct arena *arena,
                                  struct jwt *jwt)
{
    const struct json_node *kid = json_member(header, "kid");

    /* Nothing that would have to be understood is (RFC 7515 section 4.1.11). */
    if (json_member(header, "crit") != NULL)
        return JWT_BAD_HEADER;
    if (kid != NULL && !json_is_string(kid->value))
        return JWT_BAD_HEADER;
    if (!signature_scheme_from(text_of(json_member(header, "alg")), &jwt->scheme))
        return JWT_UNKNOWN_SCHEME;
    jwt->kid = kid != NULL ? slice_of(arena_text(arena, text_of(kid))) : slice_make(NULL, 0);
    return JWT_GOOD;
}

enum jwt_fault jwt_read(struct slice token, struct arena *arena, struct jwt *jwt)
{
    struct json_document document;
    struct slice parts[3], header;
    enum jwt_fault fault;

    *jwt = (struct jwt){0};
    if (token.len > JWT_BYTES_MOST)
        return JWT_TOO_LONG;
    if (!split(token, parts))
        return JWT_MALFORMED;
    if (parts[0].len > BASE64URL_LENGTH(JWT_HEADER_BYTES_MOST))
        return JWT_TOO_LONG;
    if (!decode(parts[0], arena, &header) || !decode(parts[1], arena, &jwt->claims) ||
        !decode(parts[2], arena, &jwt->signature))
        return JWT_MALFORMED;
    if (!read_object(header, &document))
        return JWT_MALFORMED;
    jwt->signed_text = slice_make(token.at, parts[0].len + 1 + parts[1].len);
    fault = read_header(document.root, arena, jwt);
    json_document_clear(&document);
    return fault;
}

/* --- the signature -------------------------------------------------------------------------- */

static bool has_kid(const struct jwk *key, struct slice kid)
{
    return key->kid.at != NULL && slice_equal(key->kid, kid);
}

static bool fits(const struct jwk *key, enum signature_scheme scheme)
{
    return public_key_fits(key->key, scheme) && (!key->has_scheme || key->scheme == scheme);
}

enum jwt_fault jwt_verify(const struct jwt *jwt, const struct jwk_set *keys)
{
    bool names_key = jwt->kid.at != NULL, is_known = !names_key;
    unsigned tries = 0;

    for (unsigned i = 0; i < keys->count && tries < JWT_TRIES_MOST; i++) {
        const struct jwk *key = &keys->keys[i];
        if (names_key && !has_kid(key, jwt->kid))
            continue;
        is_known = true;
        if (!fits(key, jwt->scheme))
            continue;
        tries++;
        if (public_key_verify(key->key, jwt->scheme, jwt->signed_text, jwt->signature))
            return JWT_GOOD;
    }
    if (!is_known)
        return JWT_UNKNOWN_KEY;
    return tries > 0 ? JWT_BAD_SIGNATURE : JWT_NO_FITTING_KEY;
}

/* --- claims --------------------------------------------------------------------------------- */

/* A NumericDate (RFC 7519 section 2). False: it is none. */
static bool read_time(const struct json_node *member, double *seconds)
{
    if (!json_is_number(member->value))
        return false;
    *seconds = json_number_value(member->value);
    return isfinite(*seconds) && *seconds >= 0 && *seconds <= TIME_MOST;
}

static enum jwt_fault judge_times(const struct json_node *claims, const struct jwt_rules *rules,
                                  uint64_t now_s, uint64_t *until_s)
{
    static const char *const beginnings[] = {"nbf", "iat"};
    const struct json_node *member = json_member(claims, "exp");
    double now = (double)now_s, leeway = (double)rules->leeway_s, at;

    if (member == NULL || !read_time(member, &at))
        return JWT_BAD_CLAIMS;
    if (now >= at + leeway)
        return JWT_EXPIRED;
    *until_s = (uint64_t)ceil(at + leeway);
    for (int i = 0; i < 2; i++) {
        member = json_member(claims, beginnings[i]);
        if (member == NULL)
            continue;
        if (!read_time(member, &at))
            return JWT_BAD_CLAIMS;
        if (at > now + leeway)
            return JWT_NOT_YET_VALID;
    }
    return JWT_GOOD;
}

static bool is_audience(const struct jwt_rules *rules, const struct json_node *member)
{
    if (!json_is_string(member->value))
        return false;
    for (unsigned i = 0; i < rules->audience_count; i++)
        if (slice_equal(text_of(member), rules->audiences[i]))
            return true;
    return false;
}

/* One of those that it is for is one of those that we are (RFC 7519 section 4.1.3). */
static enum jwt_fault judge_audience(const struct json_node *claims, const struct jwt_rules *rules)
{
    const struct json_node *member = json_member(claims, "aud");

    if (rules->audience_count == 0)
        return JWT_GOOD;
    if (member == NULL)
        return JWT_WRONG_AUDIENCE;
    if (!json_is_array(member->value))
        return is_audience(rules, member) ? JWT_GOOD : JWT_WRONG_AUDIENCE;
    for (const struct json_node *each = member->first; each != NULL; each = each->next)
        if (is_audience(rules, each))
            return JWT_GOOD;
    return JWT_WRONG_AUDIENCE;
}

/* False: a backend would read something else. */
static bool copy_claim(const struct json_node *member, struct arena *arena, struct slice *value)
{
    struct slice text;

    *value = slice_make(NULL, 0);
    if (member == NULL)
        return true;
    if (json_is_string(member->value))
        text = text_of(member);
    else if (json_is_number(member->value) || json_is_boolean(member->value))
        text = member->text; /* as it was written */
    else
        return true;
    if (!http_is_field_value(text) || slice_trim(text).len != text.len)
        return false;
    *value = arena_copy(arena, text);
    return true;
}

static enum jwt_fault judge_claims(const struct json_node *claims, const struct jwt_rules *rules,
                                   uint64_t now_s, struct arena *arena, struct slice *values,
                                   uint64_t *until_s)
{
    enum jwt_fault fault = judge_times(claims, rules, now_s, until_s);

    if (fault != JWT_GOOD)
        return fault;
    if (rules->issuer.len > 0 && !slice_equal(text_of(json_member(claims, "iss")), rules->issuer))
        return JWT_WRONG_ISSUER;
    fault = judge_audience(claims, rules);
    for (unsigned i = 0; fault == JWT_GOOD && i < rules->copy_count; i++) {
        const char *name = arena_text(arena, rules->copies[i].claim);
        if (!copy_claim(json_member(claims, name), arena, &values[i]))
            fault = JWT_UNFIT_CLAIM;
    }
    return fault;
}

enum jwt_fault jwt_judge(const struct jwt *jwt, const struct jwt_rules *rules, uint64_t now_s,
                         struct arena *arena, struct slice *values, uint64_t *until_s)
{
    struct json_document document;
    enum jwt_fault fault;

    if (!read_object(jwt->claims, &document))
        return JWT_BAD_CLAIMS;
    fault = judge_claims(document.root, rules, now_s, arena, values, until_s);
    json_document_clear(&document);
    return fault;
}

/* --- where a request has it ----------------------------------------------------------------- */

/* The one field of that name, however it is written; *count says how many there are. */
static struct slice find_field(const struct http_fields *fields, struct slice name, unsigned *count)
{
    struct slice value = slice_make(NULL, 0);

    *count = 0;
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, name)) {
            value = fields->list[i].value;
            ++*count;
        }
    return value;
}

enum bearer bearer_find(const struct http_fields *request, struct slice cookie, struct slice *token)
{
    static const struct slice scheme = {"Bearer", 6};
    unsigned count;
    struct slice value = slice_trim(find_field(request, slice_of("Authorization"), &count));
    size_t word = 0;

    if (count > 1)
        return BEARER_BAD;
    while (word < value.len && value.at[word] != ' ' && value.at[word] != '\t')
        word++;
    if (slice_equal_nocase(slice_make(value.at, word), scheme)) {
        *token = slice_trim(slice_skip(value, word));
        return token->len > 0 ? BEARER_FOUND : BEARER_BAD;
    }
    *token = cookie.len > 0 ? cookie_find(request, cookie) : slice_make(NULL, 0);
    return token->len > 0 ? BEARER_FOUND : BEARER_NONE;
}
