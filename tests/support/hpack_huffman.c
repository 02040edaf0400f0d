#include "support/hpack.h"

#include <pthread.h>

/* RFC 7541 appendix B is a canonical code: shorter codes come first, and those of one length stand
 * in the order of their symbols. So the lengths say it all. */
enum { SYMBOLS = 257, EOS = 256, LONGEST = 30 };

static const uint8_t lengths[SYMBOLS] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,
    5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,
    15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,
    7,  7,  7,  15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
};

static uint32_t codes[SYMBOLS];
/* Of each length: the first code, how many there are, and where their symbols begin. */
static uint32_t first_code[LONGEST + 1], code_count[LONGEST + 1], first_place[LONGEST + 1];
static uint16_t symbols[SYMBOLS];
static pthread_once_t is_made = PTHREAD_ONCE_INIT;

static void make_codes(void)
{
    uint32_t code = 0, place = 0;

    for (unsigned length = 1; length <= LONGEST; length++) {
        code <<= 1;
        first_code[length] = code;
        first_place[length] = place;
        for (unsigned symbol = 0; symbol < SYMBOLS; symbol++) {
            if (lengths[symbol] != length)
                continue;
            symbols[place++] = (uint16_t)symbol;
            codes[symbol] = code++;
            code_count[length]++;
        }
    }
}

size_t hpack_huffman_length(const void *bytes, size_t length)
{
    size_t bits = 0;

    for (size_t i = 0; i < length; i++)
        bits += lengths[((const uint8_t *)bytes)[i]];
    return (bits + 7) / 8;
}

void hpack_put_huffman(struct hpack_bytes *out, const void *bytes, size_t length)
{
    uint64_t held = 0;
    unsigned bits = 0;

    pthread_once(&is_made, make_codes);
    for (size_t i = 0; i < length; i++) {
        uint8_t symbol = ((const uint8_t *)bytes)[i];
        held = held << lengths[symbol] | codes[symbol];
        for (bits += lengths[symbol]; bits >= 8; bits -= 8)
            hpack_put_byte(out, (uint8_t)(held >> (bits - 8)));
    }
    if (bits > 0)
        hpack_put_byte(out, (uint8_t)(held << (8 - bits) | 0xff >> bits));
}

bool hpack_decode_huffman(struct hpack_bytes *out, const void *bytes, size_t length)
{
    uint32_t code = 0;
    unsigned bits = 0;

    pthread_once(&is_made, make_codes);
    for (size_t i = 0; i < length * 8; i++) {
        code = code << 1 | (((const uint8_t *)bytes)[i / 8] >> (7 - i % 8) & 1);
        if (++bits > LONGEST)
            return false;
        if (code < first_code[bits] || code - first_code[bits] >= code_count[bits])
            continue;
        uint16_t symbol = symbols[first_place[bits] + code - first_code[bits]];
        if (symbol == EOS)
            return false;
        hpack_put_byte(out, (uint8_t)symbol);
        code = 0;
        bits = 0;
    }
    /* What is left is the beginning of EOS, which is all ones, and less than a byte. */
    return bits < 8 && code == (1U << bits) - 1;
}
