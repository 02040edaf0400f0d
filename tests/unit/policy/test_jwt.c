#include "policy/jwt.h"

#include "base/base64url.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* The examples of RFC 7515 appendix A.3 and RFC 8037 appendix A. */
#define EC_KEY                                               \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","      \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define ED_KEY                                                \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\"," \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static const char es256[] =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
static const char eddsa[] =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static struct arena arena;
static struct source_content *keys;

static const struct jwk_set *set_of(const char *text)
{
    struct source_complaint *complaints = NULL;

    source_content_unref(keys);
    keys = jwk_set_parse(slice_of(text), &arena, &complaints);
    cr_assert(keys, "%s", text);
    return container_of(keys, struct jwk_set, content);
}

static void end(void)
{
    source_content_unref(keys);
    arena_clear(&arena);
}

TestSuite(jwt_reading, .fini = end);

static enum jwt_fault verify(const char *token, const struct jwk_set *set)
{
    struct jwt jwt;
    enum jwt_fault fault = jwt_read(slice_of(token), &arena, &jwt);

    return fault == JWT_GOOD ? jwt_verify(&jwt, set) : fault;
}

Test(jwt_reading, examples_of_the_standards_are_good)
{
    const struct jwk_set *set = set_of("{\"keys\":[" EC_KEY "," ED_KEY "]}");

    cr_assert_eq(verify(es256, set), JWT_GOOD);
    cr_assert_eq(verify(eddsa, set), JWT_GOOD);
    set = set_of("{\"keys\":[" EC_KEY "]}");
    cr_assert_eq(verify(eddsa, set), JWT_NO_FITTING_KEY);
}

/* With that header, and no claims that anybody reads. */
static enum jwt_fault verify_header(const char *header, const struct jwk_set *set)
{
    char token[256] = "";
    size_t letters = BASE64URL_LENGTH(strlen(header));

    base64url_write((const uint8_t *)header, strlen(header), token);
    snprintf(token + letters, sizeof(token) - letters, ".e30.%s", strrchr(es256, '.') + 1);
    return verify(token, set);
}

Test(jwt_reading, a_kid_chooses_and_never_tells_how)
{
    const struct jwk_set *set = set_of("{\"keys\":[" EC_KEY "," ED_KEY "]}");

    cr_expect_eq(verify_header("{\"alg\":\"ES256\",\"kid\":\"ec\"}", set), JWT_BAD_SIGNATURE);
    cr_expect_eq(verify_header("{\"alg\":\"ES256\",\"kid\":\"ed\"}", set), JWT_UNKNOWN_KEY);
    cr_expect_eq(verify_header("{\"alg\":\"ES256\",\"kid\":\"\"}", set), JWT_UNKNOWN_KEY);
    cr_expect_eq(verify_header("{\"alg\":\"ES384\",\"kid\":\"ec\"}", set), JWT_NO_FITTING_KEY);
    cr_expect_eq(verify_header("{\"alg\":\"RS256\"}", set), JWT_NO_FITTING_KEY);
    cr_expect_eq(verify_header("{\"alg\":\"HS256\"}", set), JWT_UNKNOWN_SCHEME);
    cr_expect_eq(verify_header("{\"alg\":\"ES256\",\"crit\":[]}", set), JWT_BAD_HEADER);
}

Test(jwt_reading, no_more_than_eight_keys_are_tried)
{
    char text[4096] = "{\"keys\":[";
    struct jwt jwt;

    /* The right key is the ninth that fits: others with another point in front of it. */
    for (int i = 0; i < 8; i++)
        strcat(text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                     "\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"},");
    strcat(text, ED_KEY "]}");
    cr_assert_eq(verify(eddsa, set_of(text)), JWT_BAD_SIGNATURE);
    cr_assert_eq(jwt_read(slice_of(eddsa), &arena, &jwt), JWT_GOOD);
    cr_assert_eq(jwt_verify(&jwt, set_of("{\"keys\":[" ED_KEY "]}")), JWT_GOOD);
}

/* --- claims at a moment ------------------------------------------------------------------------
 */

static enum jwt_fault judge_at(const char *claims, uint64_t leeway_s, uint64_t now_s)
{
    const struct jwt jwt = {.claims = slice_of(claims)};
    const struct jwt_rules rules = {.leeway_s = leeway_s};
    uint64_t until_s;

    return jwt_judge(&jwt, &rules, now_s, &arena, NULL, &until_s);
}

Test(jwt_reading, times_are_held_against_the_clock_and_the_leeway)
{
    cr_expect_eq(judge_at("{\"exp\":1000}", 0, 999), JWT_GOOD);
    cr_expect_eq(judge_at("{\"exp\":1000}", 0, 1000), JWT_EXPIRED);
    cr_expect_eq(judge_at("{\"exp\":1000}", 30, 1029), JWT_GOOD);
    cr_expect_eq(judge_at("{\"exp\":1000}", 30, 1030), JWT_EXPIRED);
    cr_expect_eq(judge_at("{\"exp\":1000.5}", 0, 1000), JWT_GOOD);
    cr_expect_eq(judge_at("{\"exp\":2000,\"nbf\":1000}", 0, 999), JWT_NOT_YET_VALID);
    cr_expect_eq(judge_at("{\"exp\":2000,\"nbf\":1000}", 0, 1000), JWT_GOOD);
    cr_expect_eq(judge_at("{\"exp\":2000,\"nbf\":1000}", 30, 970), JWT_GOOD);
    cr_expect_eq(judge_at("{\"exp\":2000,\"iat\":1000}", 30, 969), JWT_NOT_YET_VALID);
    cr_expect_eq(judge_at("{\"exp\":true}", 0, 1), JWT_BAD_CLAIMS);
    cr_expect_eq(judge_at("{\"exp\":1e18}", 0, 1), JWT_BAD_CLAIMS);
    cr_expect_eq(judge_at("{\"exp\":99999999999999999999999999}", 0, 1), JWT_BAD_CLAIMS);
    cr_expect_eq(judge_at("{\"exp\":1000,\"a\":{\"b\":1,\"b\":1}}", 0, 1), JWT_BAD_CLAIMS);
}

/* --- where a token is --------------------------------------------------------------------------
 */

static void expect_bearer(const char *authorization, const char *cookie, enum bearer expected,
                          const char *expected_token)
{
    struct http_fields fields = {0};
    struct slice token;

    if (authorization)
        http_fields_add_id(&fields, &arena, FIELD_OTHER, slice_of("authorization"),
                           slice_of(authorization));
    if (cookie)
        http_fields_add_id(&fields, &arena, FIELD_COOKIE, slice_of("Cookie"), slice_of(cookie));
    enum bearer is = bearer_find(&fields, slice_of("t"), &token);
    cr_expect_eq(is, expected, "%s: %d", authorization ? authorization : "none", is);
    if (is == BEARER_FOUND)
        cr_expect(slice_equal(token, slice_of(expected_token)), "%.*s", (int)token.len, token.at);
}

Test(jwt_reading, a_token_is_in_the_field_or_in_the_cookie)
{
    expect_bearer("Bearer x", NULL, BEARER_FOUND, "x");
    expect_bearer("bEaReR \t x ", "t=y", BEARER_FOUND, "x");
    expect_bearer("Bearer", "t=y", BEARER_BAD, NULL);
    expect_bearer("Bearer ", "t=y", BEARER_BAD, NULL);
    expect_bearer("Basic x", "a=b; t=y", BEARER_FOUND, "y");
    expect_bearer("Bearerx", NULL, BEARER_NONE, NULL);
    expect_bearer(NULL, "t=y", BEARER_FOUND, "y");
    expect_bearer(NULL, "t=", BEARER_NONE, NULL);
    expect_bearer(NULL, NULL, BEARER_NONE, NULL);
}
