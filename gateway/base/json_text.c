#include "base/json_text.h"

#include <stdio.h>

enum { ESCAPE_MAX = 6 }; /* \u001f */

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t json_utf8_length(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return text.len >= 2 && is_continuation(at[1]) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        unsigned char low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
        return text.len >= 3 && at[1] >= low && at[1] <= high && is_continuation(at[2]) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        unsigned char low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
        return text.len >= 4 && at[1] >= low && at[1] <= high && is_continuation(at[2]) &&
                       is_continuation(at[3])
                   ? 4
                   : 0;
    }
    return 0;
}

/* Writes one escaped character; returns its length and in *used how much of `text` it was. */
static size_t escape_one(struct slice text, char to[ESCAPE_MAX + 1], size_t *used)
{
    unsigned char byte = (unsigned char)text.at[0];
    *used = 1;
    switch (byte) {
    case '"': memcpy(to, "\\\"", 2); return 2;
    case '\\': memcpy(to, "\\\\", 2); return 2;
    case '\n': memcpy(to, "\\n", 2); return 2;
    case '\r': memcpy(to, "\\r", 2); return 2;
    case '\t': memcpy(to, "\\t", 2); return 2;
    default: break;
    }
    if (byte < 0x20 || byte == 0x7f)
        return (size_t)snprintf(to, ESCAPE_MAX + 1, "\\u%04x", byte);
    size_t length = json_utf8_length(text);
    if (length == 0) {
        memcpy(to, "\xef\xbf\xbd", 3);
        return 3;
    }
    memcpy(to, text.at, length);
    *used = length;
    return length;
}

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

size_t json_escape(struct slice text, char *to, size_t room)
{
    size_t written = 0;
    while (text.len > 0) {
        if (is_plain((unsigned char)text.at[0])) {
            if (written == room)
                return written;
            to[written++] = text.at[0];
            text = slice_skip(text, 1);
            continue;
        }
        char escaped[ESCAPE_MAX + 1];
        size_t used, length = escape_one(text, escaped, &used);
        if (length > room - written)
            return written;
        memcpy(to + written, escaped, length);
        written += length;
        text = slice_skip(text, used);
    }
    return written;
}

bool json_append_string(struct buffer *out, struct slice text)
{
    if (!buffer_reserve(out, text.len * ESCAPE_MAX + 2))
        return false;
    char *to = buffer_tail(out);
    to[0] = '"';
    size_t length = json_escape(text, to + 1, text.len * ESCAPE_MAX);
    to[1 + length] = '"';
    buffer_added(out, length + 2);
    return true;
}

void json_append_member(struct buffer *out, const char *key, struct slice text)
{
    buffer_printf(out, ",\"%s\":", key);
    if (text.len == 0)
        buffer_append_text(out, "null");
    else
        json_append_string(out, text);
}

bool json_append_text(struct buffer *out, const char *text)
{
    return text == NULL ? buffer_append_text(out, "null") : json_append_string(out, slice_of(text));
}
