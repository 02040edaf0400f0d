/* A long byte sequence that can be made and checked at any offset: a lost, doubled or moved byte
 * shows. */
#ifndef E2E_PATTERN_H
#define E2E_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes from an offset on, at most PATTERN_PIECE at a time. */
#define PATTERN_PIECE ((size_t)65536)
const char *pattern_at(uint64_t offset);

/* Whether these bytes are the pattern's at that offset; any length. */
bool pattern_matches(uint64_t offset, const char *bytes, size_t length);

#endif
