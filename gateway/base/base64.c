#include "base/base64.h"

/* -1: none of the alphabet. */
static int value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : -1;
}

static struct slice without_padding(struct slice letters)
{
    for (int i = 0; i < 2 && letters.len > 0 && letters.at[letters.len - 1] == '='; i++)
        letters.len--;
    return letters;
}

bool base64_read(struct slice letters, uint8_t *bytes, size_t *count)
{
    uint32_t bits = 0;
    unsigned held = 0; /* of the lowest bits, those that are not written yet */

    *count = 0;
    if (letters.len % 4 != 0)
        return false;
    letters = without_padding(letters);
    for (size_t i = 0; i < letters.len; i++) {
        int value = value_of(letters.at[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[(*count)++] = (uint8_t)(bits >> held);
        }
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0;
}
