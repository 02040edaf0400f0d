/* Whether people read what is written. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include <stdbool.h>

/* A terminal that can show colours, and a user who wants them: $NO_COLOR, with anything in it, asks
 * for none. */
bool terminal_takes_colour(int fd);

#endif
