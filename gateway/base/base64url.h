/* Bytes as letters that are safe in URLs and cookies: base64url without padding (RFC 4648 section
 * 5). */
#ifndef BASE_BASE64URL_H
#define BASE_BASE64URL_H

#include "base/slice.h"

/* How many letters stand for so many bytes. */
#define BASE64URL_LENGTH(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64URL_LENGTH(count) letters. */
void base64url_write(const uint8_t *bytes, size_t count, char *letters);
/* Reads exactly `count` bytes. False unless these are the very letters that base64url_write makes
 * of them. */
bool base64url_read(struct slice letters, uint8_t *bytes, size_t count);

#endif
