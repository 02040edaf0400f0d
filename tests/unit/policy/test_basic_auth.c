#include "policy/basic_auth.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void expect(const char *value, const char *name, const char *password)
{
    uint8_t room[BASIC_ROOM];
    struct slice found, secret;

    cr_assert(basic_auth_parse(slice_of(value), room, &found, &secret), "%s", value);
    cr_expect(slice_equal(found, slice_of(name)), "%s: %.*s", value, (int)found.len, found.at);
    cr_expect(slice_equal(secret, slice_of(password)), "%s", value);
}

Test(basic_auth, names_and_passwords)
{
    expect("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
    expect("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
    expect("BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");
    expect("Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3");
    expect("Basic YTpiOmM=", "a", "b:c");
    expect("Basic Og==", "", "");
    expect("Basic YTo=", "a", "");
}

Test(basic_auth, nothing_that_is_not_exactly_so)
{
    static const char *const wrong[] = {
        "",
        "Basic",
        "Basic ",
        "BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic\tQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== ",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Basic Og==",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", /* a bit that stands for nothing */
        "Basic YWJj",                         /* "abc" */
        "Basic YTpiAA==",                     /* "a:b\0" */
        "Basic YTpiCg==",                     /* "a:b\n" */
        "Basic YQk6Yg==",                     /* "a\t:b" */
        "Basic YTpifw==",                     /* "a:b\x7f" */
        "Basic YTpi====",
        "Basic realm=\"x\"",
    };
    uint8_t room[BASIC_ROOM];
    struct slice name, password;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect(!basic_auth_parse(slice_of(wrong[i]), room, &name, &password), "%s", wrong[i]);
}

Test(basic_auth, nothing_that_is_too_long)
{
    char value[BASIC_ROOM * 2];
    uint8_t room[BASIC_ROOM];
    struct slice name, password;

    for (size_t letters = BASIC_ROOM - 64; letters < sizeof(value) - 16; letters += 4) {
        int length = snprintf(value, sizeof(value), "Basic Ojpr");
        memset(value + length, 'a', letters);
        struct slice text = slice_make(value, (size_t)length + letters);
        bool is_read = basic_auth_parse(text, room, &name, &password);
        cr_expect(!is_read || (letters + 4) / 4 * 3 <= BASIC_ROOM, "%zu", letters);
    }
}

Test(basic_auth, realms_are_quoted)
{
    struct basic_auth *auth = basic_auth_new();

    basic_auth_set_realm(auth, slice_of("a \"b\" \\ c"));
    cr_expect(slice_equal(auth->challenge,
                          slice_of("Basic realm=\"a \\\"b\\\" \\\\ c\", charset=\"UTF-8\"")),
              "%.*s", (int)auth->challenge.len, auth->challenge.at);
    policy_unref(&auth->policy);
}
