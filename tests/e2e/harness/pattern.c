#include "pattern.h"

#include <pthread.h>
#include <string.h>

/* A prime period, so that no power of two of bytes can be lost without a trace. */
#define PERIOD ((size_t)1048573)

static char block[PERIOD + PATTERN_PIECE];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_block(void)
{
    uint64_t state = 0x9e3779b97f4a7c15U;

    for (size_t i = 0; i < PERIOD; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block[i] = (char)(state >> 32);
    }
    memcpy(block + PERIOD, block, PATTERN_PIECE);
}

const char *pattern_at(uint64_t offset)
{
    pthread_once(&once, fill_block);
    return block + offset % PERIOD;
}

bool pattern_matches(uint64_t offset, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t piece = length < PATTERN_PIECE ? length : PATTERN_PIECE;
        if (memcmp(pattern_at(offset), bytes, piece) != 0)
            return false;
        offset += piece;
        bytes += piece;
        length -= piece;
    }
    return true;
}
