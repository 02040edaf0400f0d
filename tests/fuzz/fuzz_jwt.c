/* Tokens: what is taken apart is put together again from its parts, letter by letter; what a token
 * says, signed or not, ends as values that can stand in headers; where one is found it lies in what
 * was sent. */
#include "base/base64url.h"
#include "base/check.h"
#include "policy/jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { NOW_S = 1300819379 };

/* The public keys of the examples in RFC 7515 appendix A.3 and RFC 8037 appendix A. */
static const char keys_text[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
                                "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static bool is_encoded(struct slice bytes, struct slice letters)
{
    size_t count = BASE64URL_LENGTH(bytes.len);
    char *again = malloc(count + 1);

    base64url_write((const uint8_t *)bytes.at, bytes.len, again);
    bool is_same = slice_equal(slice_make(again, count), letters);
    free(again);
    return is_same;
}

static void check_parts(struct slice token, const struct jwt *jwt)
{
    struct slice rest = slice_skip(token, jwt->signed_text.len);
    ptrdiff_t dot = slice_find(jwt->signed_text, '.');

    assert(slice_starts_with(token, jwt->signed_text));
    assert(rest.len > 0 && rest.at[0] == '.' && dot > 0);
    assert(is_encoded(jwt->signature, slice_skip(rest, 1)));
    assert(is_encoded(jwt->claims, slice_skip(jwt->signed_text, (size_t)dot + 1)));
    assert(jwt->scheme < SIGNATURE_SCHEMES);
}

static void check_claims(struct slice claims, struct arena *arena)
{
    static const struct slice audience = {"shop", 4};
    static const struct jwt_copy copies[] = {{{"sub", 3}, {"X-User", 6}}, {{"n", 1}, {"X-N", 3}}};
    const struct jwt_rules any = {.copies = copies, .copy_count = 2};
    struct jwt_rules strict = any;
    const struct jwt jwt = {.claims = claims};
    struct slice values[2] = {{NULL, 0}};
    uint64_t until_s = 0;

    strict.issuer = slice_of("joe");
    strict.audiences = &audience;
    strict.audience_count = 1;
    if (jwt_judge(&jwt, &strict, NOW_S, arena, values, &until_s) == JWT_GOOD)
        assert(jwt_judge(&jwt, &any, NOW_S, arena, values, &until_s) == JWT_GOOD);
    if (jwt_judge(&jwt, &any, NOW_S, arena, values, &until_s) != JWT_GOOD)
        return;
    assert(until_s > NOW_S);
    assert(jwt_judge(&jwt, &any, until_s, arena, values, &until_s) == JWT_EXPIRED);
    for (int i = 0; i < 2; i++)
        assert(http_is_field_value(values[i]) && slice_trim(values[i]).len == values[i].len);
}

static void check_field(struct slice value, struct arena *arena)
{
    struct http_fields fields = {0};
    struct slice token;

    http_fields_add(&fields, arena, slice_of("Authorization"), value);
    if (bearer_find(&fields, slice_make("", 0), &token) == BEARER_FOUND)
        assert(token.len > 0 && token.at > value.at &&
               token.at + token.len <= value.at + value.len);
}

static struct source_content *make_keys(void)
{
    struct source_complaint *complaints = NULL;
    struct arena arena = {0};
    struct source_content *keys = jwk_set_parse(slice_of(keys_text), &arena, &complaints);

    assert(keys != NULL && complaints == NULL);
    arena_clear(&arena);
    return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct source_content *keys;
    struct slice whole = slice_make((const char *)bytes, length);
    struct arena arena = {0};
    struct jwt jwt;

    if (keys == NULL)
        keys = make_keys();
    if (length == 0)
        return 0;
    if (jwt_read(whole, &arena, &jwt) == JWT_GOOD) {
        check_parts(whole, &jwt);
        jwt_verify(&jwt, container_of(keys, struct jwk_set, content));
        check_claims(jwt.claims, &arena);
    }
    check_claims(whole, &arena);
    check_field(whole, &arena);
    arena_clear(&arena);
    return 0;
}
