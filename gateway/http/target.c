#include "http/target.h"

#include "base/check.h"

#include <arpa/inet.h>

/* --- hosts ---------------------------------------------------------------------------------- */

enum { HOST_LONGEST = 253, LABEL_LONGEST = 63 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

static bool parse_port(struct slice text, uint16_t *port)
{
    uint64_t value;

    if (text.len == 0)
        return true;
    if (text.len > 5 || text.at[0] == '0' || !slice_parse_u64(text, &value) || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool is_name(struct slice name)
{
    size_t label = 0;

    if (name.len == 0 || name.len > HOST_LONGEST)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (is_letter(c) || is_digit(c) || c == '-' || c == '_') {
            if (++label > LABEL_LONGEST)
                return false;
        } else {
            return false;
        }
    }
    return label > 0;
}

static bool is_ipv6(struct slice literal)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (literal.len >= sizeof(text) || memchr(literal.at, '\0', literal.len))
        return false;
    slice_copy_text(literal, text, sizeof(text));
    return inet_pton(AF_INET6, text, &address) == 1;
}

static struct slice lower(struct arena *arena, struct slice text)
{
    size_t i = 0;

    while (i < text.len && !is_upper(text.at[i]))
        i++;
    if (i == text.len)
        return text;

    char *copy = arena_bytes(arena, text.len);
    for (i = 0; i < text.len; i++)
        copy[i] = is_upper(text.at[i]) ? (char)(text.at[i] | 0x20) : text.at[i];
    return slice_make(copy, text.len);
}

bool host_normalise(struct arena *arena, struct slice authority, struct slice *host, uint16_t *port)
{
    struct slice name = authority, rest;

    *port = 0;
    if (authority.len > 0 && authority.at[0] == '[') {
        ptrdiff_t end = slice_find(authority, ']');

        if (end < 0)
            return false;
        name = slice_make(authority.at + 1, (size_t)end - 1);
        rest = slice_skip(authority, (size_t)end + 1);
        if (!is_ipv6(name))
            return false;
    } else {
        ptrdiff_t colon = slice_find(authority, ':');

        if (colon >= 0)
            name.len = (size_t)colon;
        rest = slice_skip(authority, name.len);
        if (name.len > 0 && name.at[name.len - 1] == '.')
            name.len--;
        if (!is_name(name))
            return false;
    }
    if (rest.len > 0 && (rest.at[0] != ':' || !parse_port(slice_skip(rest, 1), port)))
        return false;
    *host = lower(arena, name);
    return true;
}

struct slice host_in_url(struct arena *arena, struct slice host)
{
    if (slice_find(host, ':') < 0)
        return host;
    return arena_printf(arena, "[%.*s]", (int)host.len, host.at);
}

/* --- paths ---------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c)
{
    return is_letter((char)c) || is_digit((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* RFC 9112 section 3.2: controls, spaces, and all that is not ASCII. */
static bool is_beyond_targets(char c)
{
    return (unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f;
}

/* The path in the making, with what is needed to refuse dot segments as it grows. */
struct path_writer {
    char *at;
    size_t len;
    size_t segment; /* characters since the last separator, "%2f" and "%5c" included */
    bool dots_only; /* and all of them are dots */
};

static void put_char(struct path_writer *w, char c)
{
    w->at[w->len++] = c;
    w->segment++;
    w->dots_only = w->dots_only && c == '.';
}

/* False if the segment that ends here is "." or "..". */
static bool end_segment(struct path_writer *w)
{
    bool is_dots = w->dots_only && (w->segment == 1 || w->segment == 2);

    w->segment = 0;
    w->dots_only = true;
    return !is_dots;
}

/* Takes the escape at the front of `rest`. False if it is refused. */
static bool put_escape(struct path_writer *w, struct slice rest)
{
    int high = rest.len >= 3 ? hex_value(rest.at[1]) : -1;
    int low = rest.len >= 3 ? hex_value(rest.at[2]) : -1;
    int value = high * 16 + low;

    if (high < 0 || low < 0 || value < 0x20 || value == 0x7f)
        return false;
    if (is_unreserved(value)) {
        put_char(w, (char)value);
        return true;
    }
    /* As sent. %2f and %5c are no separators to us, but must not hide a dot segment from a backend
     * that decodes them. */
    if (value != '/' && value != '\\')
        w->dots_only = false;
    else if (!end_segment(w))
        return false;
    memcpy(w->at + w->len, rest.at, 3);
    w->len += 3;
    return true;
}

static bool write_path(struct path_writer *w, struct slice raw)
{
    for (size_t i = 0; i < raw.len;) {
        char c = raw.at[i];

        if (c == '%') {
            if (!put_escape(w, slice_skip(raw, i)))
                return false;
            i += 3;
            continue;
        }
        i++;
        if (is_beyond_targets(c) || c == '\\' || c == '#')
            return false;
        if (c != '/') {
            put_char(w, c);
        } else if (w->len == 0 || w->at[w->len - 1] != '/') {
            if (!end_segment(w))
                return false;
            w->at[w->len++] = '/';
        }
    }
    return end_segment(w);
}

/* Most paths need nothing done: true for those, in one pass and without a copy. */
static bool is_plain_path(struct slice raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.at[i];

        if (is_beyond_targets(c) || c == '%' || c == '\\' || c == '#')
            return false;
        if (i > 0 && raw.at[i - 1] == '/' && (c == '/' || c == '.'))
            return false;
    }
    return true;
}

bool path_normalise(struct arena *arena, struct slice target, struct slice *path,
                    struct slice *query)
{
    ptrdiff_t mark = slice_find(target, '?');
    struct slice raw = mark < 0 ? target : slice_make(target.at, (size_t)mark);

    if (raw.len == 0 || raw.at[0] != '/')
        return false;
    *query = slice_skip(target, raw.len);
    for (size_t i = 0; i < query->len; i++)
        if (is_beyond_targets(query->at[i]) || query->at[i] == '#')
            return false;
    if (is_plain_path(raw)) {
        *path = raw;
        return true;
    }

    struct path_writer writer = {.at = arena_bytes(arena, raw.len), .dots_only = true};
    if (!write_path(&writer, raw))
        return false;
    *path = slice_make(writer.at, writer.len);
    return true;
}
