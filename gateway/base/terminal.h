/* Whether people read what is written. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include "base/buffer.h"

/* A terminal that can show colours, and a user who wants them: $NO_COLOR, with anything in it, asks
 * for none. */
bool terminal_takes_colour(int fd);

/* Text of others for people to read: what a terminal would obey (control characters, also those
 * from U+0080 on) or could not show (bytes that are no UTF-8) is written as "\x1b". */
void terminal_append(struct buffer *out, struct slice text);
void terminal_append_text(struct buffer *out, const char *text);

#endif
