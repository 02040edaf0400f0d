/* Dictionaries of structured fields, read strictly. */
#include "http/structured_field.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* "key=kind" of each member; "broken" instead. */
static const char *read_all(const char *text)
{
    static const char *const kinds[] = {
        [STRUCTURED_TRUE] = "true", [STRUCTURED_FALSE] = "false", [STRUCTURED_INTEGER] = "",
        [STRUCTURED_TEXT] = "",     [STRUCTURED_OTHER] = "other",
    };
    struct structured_reader reader = {.rest = slice_of(text)};
    struct structured_member member;
    static char all[512];
    size_t length = 0;

    all[0] = '\0';
    while (structured_next_member(&reader, &member)) {
        length +=
            (size_t)snprintf(all + length, sizeof(all) - length, "%s%.*s=%s", length ? " " : "",
                             (int)member.key.len, member.key.at, kinds[member.kind]);
        if (member.kind == STRUCTURED_INTEGER)
            length += (size_t)snprintf(all + length, sizeof(all) - length, "%lld",
                                       (long long)member.integer);
        if (member.kind == STRUCTURED_TEXT)
            length += (size_t)snprintf(all + length, sizeof(all) - length, "'%.*s'",
                                       (int)member.text.len, member.text.at);
    }
    return reader.is_broken ? "broken" : all;
}

Test(structured_field, dictionaries)
{
    static const struct {
        const char *text, *members;
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {"a", "a=true"},
        {" a ", "a=true"},
        {"max-age=60", "max-age=60"},
        {"a=-5 \t,\t b=?0,c=?1", "a=-5 b=false c=true"},
        {"a=999999999999999", "a=999999999999999"},
        {"a=1.5, b=:aGk=:, c=@1659578233, d=%\"x\"", "a=other b=other c=other d=other"},
        {"a=tok/en:x, b=\"s t\", c=\"q\\\"\\\\\"", "a='tok/en:x' b='s t' c='q\\\"\\\\'"},
        {"a;x;y=1;z=\"p,q\", b=2;x", "a=true b=2"},
        {"a=(1 \"x, y\" t;p), b=( )", "a=other b=other"},
        {"*a_-.*9=1", "*a_-.*9=1"},
        {"a=1, a=2", "a=1 a=2"},
        {"A", "broken"},
        {"1", "broken"},
        {"a=", "broken"},
        {"a,", "broken"},
        {"a,,b", "broken"},
        {"a b", "broken"},
        {",a", "broken"},
        {"a = 1", "broken"},
        {"a= 1", "broken"},
        {"\ta", "broken"},
        {"a=1000000000000000", "broken"},
        {"a=-", "broken"},
        {"a=1.", "broken"},
        {"a=1.2345", "broken"},
        {"a=1234567890123.1", "broken"},
        {"a=\"x", "broken"},
        {"a=\"x\\", "broken"},
        {"a=\"x\\y\"", "broken"},
        {"a=\"\x80\"", "broken"},
        {"a=?2", "broken"},
        {"a=?", "broken"},
        {"a=:x", "broken"},
        {"a=@1.5", "broken"},
        {"a=%x", "broken"},
        {"a=%\"x", "broken"},
        {"a=(1", "broken"},
        {"a=(1,2)", "broken"},
        {"a=(1)x", "broken"},
        {"a;X", "broken"},
        {"a;x=", "broken"},
        {"a=1; x", "a=1"},
        {"a=;x", "broken"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_str_eq(read_all(cases[i].text), cases[i].members, "%s: %s", cases[i].text,
                         read_all(cases[i].text));
}
