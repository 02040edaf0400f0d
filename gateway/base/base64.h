/* Base64 as HTTP has it: with "+", "/" and padding (RFC 4648 section 4). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/* Room for what so many letters stand for. */
#define BASE64_ROOM(letters) ((letters) / 4 * 3)

/* False unless these are the very letters that an encoder makes of some bytes: whole groups of
 * four, padded, with no bit set that stands for nothing. `bytes` has room for BASE64_ROOM. */
bool base64_read(struct slice letters, uint8_t *bytes, size_t *count);

#endif
