#include "base/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool terminal_takes_colour(int fd)
{
    const char *unwanted = getenv("NO_COLOR"), *kind = getenv("TERM");
    bool is_dumb = kind != NULL && strcmp(kind, "dumb") == 0;

    return isatty(fd) == 1 && !is_dumb && (unwanted == NULL || unwanted[0] == '\0');
}
