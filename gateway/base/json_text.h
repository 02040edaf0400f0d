/* Writing JSON strings: quoted, escaped, always valid UTF-8. */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include "base/buffer.h"

/* Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. False
 * when there is no memory. */
bool json_append_string(struct buffer *out, struct slice text);
/* The same for a terminated string; NULL is written as null. */
bool json_append_text(struct buffer *out, const char *text);
/* Behind another member the next one: ,"key":"text", or null where `text` is empty. */
void json_append_member(struct buffer *out, const char *key, struct slice text);

/* How many bytes the character at the front of `text`, which is not empty, takes; 0 if that is no
 * UTF-8: overlong forms, surrogates and what lies beyond U+10FFFF are none (RFC 3629). */
size_t json_utf8_length(struct slice text);

/* The escaped content without quotes into `to`, cut (never inside an escape) where it is full.
 * Returns how many bytes were written; nothing is terminated. */
size_t json_escape(struct slice text, char *to, size_t room);

#endif
