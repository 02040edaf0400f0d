#include "base/base64.h"

#include <criterion/criterion.h>

static void expect(const char *letters, const char *bytes)
{
    uint8_t room[64];
    size_t count = 77;

    cr_assert(base64_read(slice_of(letters), room, &count), "%s", letters);
    cr_expect_eq(count, strlen(bytes), "%s", letters);
    cr_expect_eq(memcmp(room, bytes, count), 0, "%s", letters);
}

Test(base64, reads_what_rfc_4648_shows)
{
    expect("", "");
    expect("Zg==", "f");
    expect("Zm8=", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg==", "foob");
    expect("Zm9vYmE=", "fooba");
    expect("Zm9vYmFy", "foobar");
    expect("+/+/", "\xfb\xff\xbf");
}

Test(base64, takes_nothing_but_what_an_encoder_makes)
{
    static const char *const wrong[] = {
        "Z",    "Zg",       "Zg=",      "Zm8",      "=",        "==",    "===",  "====",
        "Z===", "Zh==",     "Zm9=",     "Zm9v====", "Zg==Zg==", "Z=g=",  "-_-_", "Zm9 ",
        "Zm 9", "Zm9v\nZg", "Zm9vYg=a", "Zg==\n",   "Zm8=Zm8=", "Zm9v=", "\xc3", "Zm\0v",
    };
    uint8_t room[64];
    size_t count;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect(!base64_read(slice_of(wrong[i]), room, &count), "%s", wrong[i]);
    cr_expect(!base64_read(slice_make("Zm\0v", 4), room, &count));
}
