/* Hosts and paths: what comes out must be normal already, hold nothing that was to be refused, lead
 * nowhere but below the root, and agree with a second and simple reading of routes/README.md. */
#include "base/buffer.h"
#include "base/check.h"
#include "http/target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* --- the second reading: one step after the other, each over the whole text ----------------- */

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c > 0 && strchr("-._~", c) != NULL);
}

/* The value of the escape at `at`, or -1. */
static int escape_value(const char *at, size_t left)
{
    char digits[3] = {0};

    if (left < 3 || at[0] != '%')
        return -1;
    memcpy(digits, at + 1, 2);
    if (strspn(digits, "0123456789abcdefABCDEF") != 2)
        return -1;
    return (int)strtol(digits, NULL, 16);
}

static bool is_refused_byte(unsigned char c)
{
    return c <= 0x20 || c >= 0x7f || c == '\\' || c == '#';
}

/* Escapes of unreserved characters decoded. False: a byte or an escape that is refused. */
static bool decode_unreserved(struct slice raw, struct buffer *out)
{
    for (size_t i = 0; i < raw.len; i++) {
        int value = escape_value(raw.at + i, raw.len - i);
        char decoded = (char)value;

        if (is_refused_byte((unsigned char)raw.at[i]))
            return false;
        if (raw.at[i] != '%') {
            buffer_append(out, slice_make(raw.at + i, 1));
            continue;
        }
        if (value < 0x20 || value == 0x7f)
            return false;
        buffer_append(out,
                      is_unreserved(value) ? slice_make(&decoded, 1) : slice_make(raw.at + i, 3));
        i += 2;
    }
    return true;
}

static void merge_slashes(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++)
        if (i == 0 || text.at[i] != '/' || text.at[i - 1] != '/')
            buffer_append(out, slice_make(text.at + i, 1));
}

/* Whether a segment is "." or "..", "%2f" and "%5c" taken for separators. */
static bool has_dot_segment(struct slice path)
{
    size_t begin = 0;

    for (size_t i = 0; i <= path.len; i++) {
        int value = escape_value(path.at + i, path.len - i);
        bool is_escaped = value == '/' || value == '\\';

        if (i < path.len && path.at[i] != '/' && !is_escaped)
            continue;
        if (i > begin && i - begin <= 2 && memcmp(path.at + begin, "..", i - begin) == 0)
            return true;
        begin = i + (is_escaped ? 3 : 1);
    }
    return false;
}

static bool read_path(struct slice raw, struct buffer *out)
{
    struct buffer decoded = {0};
    bool is_good = raw.len > 0 && raw.at[0] == '/' && decode_unreserved(raw, &decoded);

    if (is_good)
        merge_slashes(buffer_content(&decoded), out);
    buffer_clear(&decoded);
    return is_good && !has_dot_segment(buffer_content(out));
}

static bool is_good_query(struct slice query)
{
    for (size_t i = 0; i < query.len; i++)
        if ((unsigned char)query.at[i] <= 0x20 || (unsigned char)query.at[i] >= 0x7f ||
            query.at[i] == '#')
            return false;
    return true;
}

/* --- paths ---------------------------------------------------------------------------------- */

/* Decoded once more, as a careless backend would, and followed: it must not climb. */
static void check_does_not_climb(struct slice path)
{
    struct buffer decoded = {0};
    struct slice rest;
    int depth = 0;

    for (size_t i = 0; i < path.len; i++) {
        int value = escape_value(path.at + i, path.len - i);
        char c = value < 0 ? path.at[i] : (char)value;

        buffer_append(&decoded, slice_make(c == '\\' ? "/" : &c, 1));
        i += value < 0 ? 0 : 2;
    }
    rest = buffer_content(&decoded);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find(rest, '/');
        struct slice segment = slice_make(rest.at, end < 0 ? rest.len : (size_t)end);

        rest = slice_skip(rest, end < 0 ? rest.len : (size_t)end + 1);
        depth += slice_equal(segment, slice_of("..")) ? -1 : segment.len > 0;
        assert(depth >= 0 && !slice_equal(segment, slice_of(".")));
    }
    buffer_clear(&decoded);
}

static void check_path(struct arena *arena, struct slice target)
{
    ptrdiff_t mark = slice_find(target, '?');
    struct slice raw = slice_make(target.at, mark < 0 ? target.len : (size_t)mark);
    struct slice raw_query = slice_skip(target, raw.len), path, query, again, rest;
    struct buffer second = {0};
    bool is_good = read_path(raw, &second) && is_good_query(raw_query);

    assert(path_normalise(arena, target, &path, &query) == is_good);
    if (is_good) {
        assert(slice_equal(path, buffer_content(&second)) && slice_equal(query, raw_query));
        check_does_not_climb(path);
        assert(path_normalise(arena, path, &again, &rest));
        assert(slice_equal(path, again) && rest.len == 0);
    }
    buffer_clear(&second);
}

/* --- hosts ---------------------------------------------------------------------------------- */

/* A second reading with the C library's means; `name` has room for 256. */
static bool read_host(struct slice authority, char *name)
{
    char text[300], *colon;
    size_t label = 0;
    struct in6_addr address;

    if (authority.len >= sizeof(text) || memchr(authority.at, 0, authority.len))
        return false;
    slice_copy_text(authority, text, sizeof(text));
    for (char *c = text; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    colon = strchr(text[0] == '[' ? text + strcspn(text, "]") : text, ':');
    if (colon != NULL) {
        long port = colon[1] ? strtol(colon + 1, NULL, 10) : 1;
        if (strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
            colon[1] == '0' || port > 65535)
            return false;
        *colon = '\0';
    }
    if (text[0] == '[') {
        if (strlen(text) < 2 || text[strlen(text) - 1] != ']')
            return false;
        text[strlen(text) - 1] = '\0';
        snprintf(name, 256, "%.255s", text + 1);
        return strlen(text + 1) < 256 && inet_pton(AF_INET6, text + 1, &address) == 1;
    }
    if (text[0] && text[strlen(text) - 1] == '.')
        text[strlen(text) - 1] = '\0';
    if (strlen(text) == 0 || strlen(text) > 253 ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(text))
        return false;
    for (char *c = text;; c++) {
        if (*c && *c != '.')
            label++;
        else if (label < 1 || label > 63)
            return false;
        else
            label = 0;
        if (!*c)
            break;
    }
    snprintf(name, 256, "%s", text);
    return true;
}

static void check_host(struct arena *arena, struct slice authority)
{
    struct slice host, again;
    char second[256];
    uint16_t port;
    bool is_good = read_host(authority, second);

    assert(host_normalise(arena, authority, &host, &port) == is_good);
    if (!is_good)
        return;
    assert(slice_equal(host, slice_of(second)));
    if (slice_find(host, ':') >= 0)
        return; /* an IPv6 literal, which lost its brackets */
    assert(host_normalise(arena, host, &again, &port));
    assert(slice_equal(host, again) && port == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena = {0};

    check_path(&arena, slice_make((const char *)bytes, length));
    check_host(&arena, slice_make((const char *)bytes, length));
    arena_clear(&arena);
    buffer_cache_clear();
    return 0;
}
