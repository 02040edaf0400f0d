#include "base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_write(const uint8_t *bytes, size_t count, char *letters)
{
    uint32_t bits = 0;
    unsigned held = 0; /* of the lowest bits, those that are not written yet */
    for (size_t i = 0; i < count; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *letters++ = alphabet[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *letters = alphabet[bits << (6 - held) & 63];
}

/* -1: none of the alphabet. */
static int value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '-')
        return 62;
    return letter == '_' ? 63 : -1;
}

bool base64url_read(struct slice letters, uint8_t *bytes, size_t count)
{
    uint32_t bits = 0;
    unsigned held = 0;
    if (letters.len != BASE64URL_LENGTH(count))
        return false;
    for (size_t i = 0; i < letters.len; i++) {
        int value = value_of(letters.at[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *bytes++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) == 0;
}
