#include "policy/jwk_set.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EC_POINT                                             \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC_KEY "\"kty\":\"EC\",\"crv\":\"P-256\"," EC_POINT
#define ED_KEY \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static struct arena arena;
static struct source_complaint *complaints;

static struct source_content *parse(const char *text)
{
    complaints = NULL;
    return jwk_set_parse(slice_of(text), &arena, &complaints);
}

/* One key, on line 2, and a good one behind it. */
static void expect_left_out(const char *members, const char *words)
{
    char text[2048];
    snprintf(text, sizeof(text), "{ \"keys\": [\n%s,\n{%s} ] }", members, ED_KEY);
    struct source_content *content = parse(text);

    cr_assert(content, "%s", members);
    cr_expect_eq(container_of(content, struct jwk_set, content)->count, 1, "%s", members);
    if (words == NULL) {
        cr_expect_null(complaints, "%s", members);
    } else {
        cr_assert(complaints, "%s", members);
        struct slice said = complaints->text;
        cr_expect_eq(complaints->line, 2, "%s: %u", members, complaints->line);
        cr_expect(memmem(said.at, said.len, words, strlen(words)), "%s: %.*s", members,
                  (int)said.len, said.at);
        cr_expect(slice_starts_with(said, slice_of("keys[0]: ")), "%.*s", (int)said.len, said.at);
        cr_expect_null(complaints->next);
    }
    source_content_unref(content);
    arena_clear(&arena);
}

Test(jwk_set, a_key_that_cannot_be_used_is_left_out_with_words)
{
    expect_left_out("7", "an object");
    expect_left_out("{}", "\"kty\" is none of");
    expect_left_out("{\"kty\":\"EC\",\"kty\":\"EC\"}", "twice");
    expect_left_out("{\"kty\":\"oct\",\"k\":\"AQAB\"}", "a symmetric key");
    expect_left_out("{" EC_KEY ",\"d\":\"AQAB\"}", "a private key lies here");
    expect_left_out("{" EC_KEY ",\"alg\":\"ES384\"}", "does not fit");
    expect_left_out("{" EC_KEY ",\"alg\":\"none\"}", "\"alg\" is none of");
    expect_left_out("{" EC_KEY ",\"alg\":256}", "\"alg\" is none of");
    expect_left_out("{" EC_KEY ",\"kid\":1}", "\"kid\" is no text");
    expect_left_out("{" EC_KEY ",\"use\":1}", "\"use\" is no text");
    expect_left_out("{" EC_KEY ",\"key_ops\":\"verify\"}", "\"key_ops\" is no list");
    expect_left_out("{\"kty\":\"EC\",\"crv\":\"P-521\"," EC_POINT "}", "P-256 and P-384");
    expect_left_out("{\"kty\":\"EC\",\"crv\":\"P-384\"," EC_POINT "}", "as many bytes");
    expect_left_out("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\"}", "are needed");
    expect_left_out("{\"kty\":\"EC\",\"crv\":\"P-256\","
                    "\"x\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\","
                    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
                    "no point of the curve");
    expect_left_out("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQ\"}", "not Ed25519");
    expect_left_out("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQ\"}", "32 bytes");
    expect_left_out("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AR\"}", "is needed");
    expect_left_out("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "less than 2048 bits");
    expect_left_out("{\"kty\":\"RSA\",\"n\":\"AQAB==\",\"e\":\"AQAB\"}", "are needed");
    expect_left_out("{" EC_KEY ",\"use\":\"enc\"}", NULL);
    expect_left_out("{" EC_KEY ",\"key_ops\":[\"sign\"]}", NULL);
}

static void expect_no_set(const char *text, const char *words)
{
    struct source_content *content = parse(text);

    cr_expect_null(content, "%s", text);
    cr_assert(complaints, "%s", text);
    cr_expect(memmem(complaints->text.at, complaints->text.len, words, strlen(words)), "%s: %.*s",
              text, (int)complaints->text.len, complaints->text.at);
    arena_clear(&arena);
}

Test(jwk_set, what_is_no_set_is_refused_as_a_whole)
{
    expect_no_set("", "");
    expect_no_set("[]", "no set of keys");
    expect_no_set("{" ED_KEY "}", "no set of keys");
    expect_no_set("{\"keys\":{}}", "no set of keys");
    expect_no_set("{\"keys\":[]}", "no key that signatures can be checked with");
    expect_no_set("{\"keys\":[],\"keys\":[{" ED_KEY "}]}", "twice");
    expect_no_set("{\"keys\":[{" ED_KEY "}]", "is missing");
}

Test(jwk_set, keys_have_what_they_say_of_themselves)
{
    struct source_content *content =
        parse("{\"keys\":[{" EC_KEY ",\"kid\":\"a\",\"alg\":\"ES256\"},{" ED_KEY
              ",\"kid\":\"\",\"key_ops\":[\"verify\"]},{" ED_KEY ",\"use\":\"sig\"}],\"x\":1}");
    const struct jwk_set *set = container_of(content, struct jwk_set, content);

    cr_assert_eq(set->count, 3);
    cr_assert(slice_equal(set->keys[0].kid, slice_of("a")));
    cr_assert(set->keys[0].has_scheme && set->keys[0].scheme == SIGNATURE_ES256);
    cr_assert(set->keys[1].kid.at != NULL && set->keys[1].kid.len == 0);
    cr_assert_not(set->keys[1].has_scheme);
    cr_assert_null(set->keys[2].kid.at);
    source_content_unref(content);
    arena_clear(&arena);
}
