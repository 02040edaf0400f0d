#include "base/base64url.h"

#include <criterion/criterion.h>

static void expect_both_ways(struct slice bytes, const char *letters)
{
    char written[64];
    uint8_t read[64];

    cr_assert_eq(BASE64URL_LENGTH(bytes.len), strlen(letters), "%s", letters);
    base64url_write((const uint8_t *)bytes.at, bytes.len, written);
    cr_expect(slice_equal(slice_make(written, strlen(letters)), slice_of(letters)), "%s", letters);
    cr_assert(base64url_read(slice_of(letters), read, bytes.len), "%s", letters);
    cr_expect(slice_equal(slice_make((const char *)read, bytes.len), bytes), "%s", letters);
}

Test(base64url, bytes_to_letters_and_back)
{
    /* RFC 4648 section 10, without padding */
    expect_both_ways(slice_of(""), "");
    expect_both_ways(slice_of("f"), "Zg");
    expect_both_ways(slice_of("fo"), "Zm8");
    expect_both_ways(slice_of("foo"), "Zm9v");
    expect_both_ways(slice_of("foob"), "Zm9vYg");
    expect_both_ways(slice_of("fooba"), "Zm9vYmE");
    expect_both_ways(slice_of("foobar"), "Zm9vYmFy");
    expect_both_ways(slice_make("\0\0\0", 3), "AAAA");
    expect_both_ways(slice_of("\xff\xff\xff\xff"), "_____w");
    expect_both_ways(slice_of("\xfb\xef\xbe"), "----");
}

Test(base64url, letters_that_nobody_would_write)
{
    static const struct {
        const char *letters;
        size_t count;
    } cases[] = {
        {"Zg", 0},     {"", 1},     {"Z", 1},        {"Zg==", 1},  {"Zg", 2},    {"Zm9v", 2},
        {"Zm9vYg", 5}, {"Zh", 1},   {"Zm9", 2},      {"Zm 8", 3},  {"Zm+v", 3},  {"Zm/v", 3},
        {"Zm.v", 3},   {"Zm=v", 3}, {"\xc3\xa4", 1}, {"Zm8\n", 3}, {" Zm9v", 3}, {"@AAA", 3},
        {"[AAA", 3},   {"`AAA", 3}, {"{AAA", 3},
    };
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_not(base64url_read(slice_of(cases[i].letters), bytes, cases[i].count),
                      "%s of %zu", cases[i].letters, cases[i].count);
    for (int c = 0; c < 256; c++) {
        char letters[] = {'A', (char)c, 'A', 'A'};
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_';
        cr_expect_eq(base64url_read(slice_make(letters, 4), bytes, 3), is_letter, "%02x",
                     (unsigned)c);
    }
}
