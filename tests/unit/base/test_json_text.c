#include "base/json_text.h"

#include <criterion/criterion.h>

static void expect_string(struct slice text, const char *expected)
{
    struct buffer out = {0};
    cr_assert(json_append_string(&out, text));
    cr_expect(slice_equal(buffer_content(&out), slice_of(expected)), "%.*s, not %s",
              (int)buffer_length(&out), buffer_content(&out).at, expected);
    buffer_clear(&out);
    buffer_cache_clear();
}

Test(json_text, plain_text_is_quoted)
{
    expect_string(slice_of("hello, /world"), "\"hello, /world\"");
    expect_string(slice_of(""), "\"\"");
}

Test(json_text, quotes_backslashes_and_controls_are_escaped)
{
    expect_string(slice_of("a\"b\\c\nd\re\tf"), "\"a\\\"b\\\\c\\nd\\re\\tf\"");
    expect_string(slice_make("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\\u007f\"");
}

Test(json_text, utf8_passes)
{
    expect_string(slice_of("é€😀"), "\"é€😀\"");
}

Test(json_text, what_is_no_utf8_is_replaced_byte_by_byte)
{
    static const char *const wrong[] = {
        "\x80",             /* a continuation alone */
        "\xc3",             /* cut */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xff",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char expected[32] = "\"";
        for (size_t k = 0; k < strlen(wrong[i]); k++)
            strcat(expected, "\xef\xbf\xbd");
        strcat(expected, "\"");
        expect_string(slice_of(wrong[i]), expected);
    }
    expect_string(slice_of("a\xe2\x82z"), "\"a\xef\xbf\xbd\xef\xbf\xbdz\"");
}

Test(json_text, never_longer_than_six_times)
{
    char controls[100], expected_room[602];
    memset(controls, 1, sizeof(controls));
    struct buffer out = {0};
    cr_assert(json_append_string(&out, slice_make(controls, sizeof(controls))));
    cr_assert_eq(buffer_length(&out), sizeof(expected_room));
    buffer_clear(&out);
    buffer_cache_clear();
}

Test(json_text, null_for_no_text)
{
    struct buffer out = {0};
    json_append_text(&out, NULL);
    json_append_text(&out, "x");
    cr_assert(slice_equal(buffer_content(&out), slice_of("null\"x\"")));
    buffer_clear(&out);
    buffer_cache_clear();
}

Test(json_text, a_member_behind_another)
{
    struct buffer out = {0};

    json_append_member(&out, "a", slice_of("\"x\""));
    json_append_member(&out, "b", slice_of(""));
    cr_expect(slice_equal(buffer_content(&out), slice_of(",\"a\":\"\\\"x\\\"\",\"b\":null")));
    buffer_clear(&out);
    buffer_cache_clear();
}

Test(json_text, escaping_is_cut_between_characters)
{
    char out[8];
    cr_assert_eq(json_escape(slice_of("ab\ncd"), out, 3), 2, "no half escape");
    cr_assert_eq(json_escape(slice_of("ab\ncd"), out, 4), 4);
    cr_assert_eq(json_escape(slice_of("é"), out, 1), 0, "no half character");
    cr_assert_eq(json_escape(slice_of("abc"), out, 0), 0);
}
