#include "base/terminal.h"

#include "base/json_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool terminal_takes_colour(int fd)
{
    const char *unwanted = getenv("NO_COLOR"), *kind = getenv("TERM");
    bool is_dumb = kind != NULL && strcmp(kind, "dumb") == 0;

    return isatty(fd) == 1 && !is_dumb && (unwanted == NULL || unwanted[0] == '\0');
}

static bool is_harmless(struct slice text, size_t length)
{
    unsigned char byte = (unsigned char)text.at[0];

    if (length == 1)
        return byte >= 0x20 && byte != 0x7f;
    return length > 0 && (byte != 0xc2 || (unsigned char)text.at[1] >= 0xa0);
}

void terminal_append(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        size_t length = json_utf8_length(text);
        if (is_harmless(text, length)) {
            buffer_append(out, slice_make(text.at, length));
        } else {
            length = length > 0 ? length : 1;
            for (size_t i = 0; i < length; i++)
                buffer_printf(out, "\\x%02x", (unsigned char)text.at[i]);
        }
        text = slice_skip(text, length);
    }
}

void terminal_append_text(struct buffer *out, const char *text)
{
    terminal_append(out, slice_of(text));
}
