#include "tls/mac.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* The first 16 bytes of RFC 4231's answers. */
static void expect_mac(struct slice key, struct slice text, const char *wanted)
{
    uint8_t mac[MAC_BYTES];
    char digits[MAC_BYTES * 2 + 1];

    mac_sign(key, &text, 1, mac);
    for (int i = 0; i < MAC_BYTES; i++)
        snprintf(digits + i * 2, 3, "%02x", mac[i]);
    cr_expect_str_eq(digits, wanted);
}

Test(mac, is_hmac_sha_256)
{
    char key[131], text[50];

    memset(key, 0x0b, 20);
    expect_mac(slice_make(key, 20), slice_of("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b");
    expect_mac(slice_of("Jefe"), slice_of("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c7");
    memset(key, 0xaa, sizeof(key));
    memset(text, 0xdd, sizeof(text));
    expect_mac(slice_make(key, 20), slice_make(text, sizeof(text)),
               "773ea91e36800e46854db8ebd09181a7");
    expect_mac(slice_make(key, sizeof(key)),
               slice_of("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f");
}

Test(mac, parts_are_one_text)
{
    const struct slice parts[] = {slice_of("what do ya "), slice_make(NULL, 0),
                                  slice_of("want for nothing?")};
    const struct slice whole = slice_of("what do ya want for nothing?");
    uint8_t mac[MAC_BYTES];

    mac_sign(slice_of("Jefe"), parts, 3, mac);
    cr_expect(mac_is_good(slice_of("Jefe"), &whole, 1, mac));
    cr_expect_not(mac_is_good(slice_of("jefe"), &whole, 1, mac));
    cr_expect_not(mac_is_good(slice_of("Jefe"), parts, 2, mac));
    for (unsigned bit = 0; bit < MAC_BYTES * 8; bit++) {
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect_not(mac_is_good(slice_of("Jefe"), &whole, 1, mac), "bit %u", bit);
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(mac, keys_are_not_made_twice)
{
    uint8_t one[MAC_KEY_BYTES], other[MAC_KEY_BYTES];

    mac_make_key(one);
    mac_make_key(other);
    cr_expect(memcmp(one, other, sizeof(one)) != 0);
}
