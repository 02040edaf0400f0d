#include "support/head_text.h"

#include "base/check.h"
#include "http/http_date.h"
#include "http/target.h"

#include <stdlib.h>

static struct slice take_line(struct slice *rest)
{
    ptrdiff_t newline = slice_find(*rest, '\n');
    struct slice line = slice_make(rest->at, newline < 0 ? rest->len : (size_t)newline);

    *rest = slice_skip(*rest, newline < 0 ? rest->len : line.len + 1);
    return line;
}

static struct slice value_of(struct arena *arena, struct slice text)
{
    char *date;

    if (text.len == 0 || text.at[0] != '@')
        return text;
    date = arena_bytes(arena, HTTP_DATE_SIZE);
    http_date_write(HEAD_TEXT_NOW + atoll(arena_text(arena, slice_skip(text, 1))), date);
    return slice_make(date, HTTP_DATE_LENGTH);
}

static struct http_fields read_fields(struct arena *arena, struct slice rest)
{
    struct http_fields fields = {0};

    while (rest.len > 0) {
        struct slice line = take_line(&rest);
        ptrdiff_t colon = slice_find(line, ':');

        assert(colon > 0);
        http_fields_add(&fields, arena, slice_make(line.at, (size_t)colon),
                        value_of(arena, slice_trim(slice_skip(line, (size_t)colon + 1))));
    }
    return fields;
}

struct http_fields fields_from_text(struct arena *arena, const char *text)
{
    return read_fields(arena, slice_of(text));
}

struct http_head request_from_text(struct arena *arena, const char *text)
{
    struct http_head head = {.version_minor = 1};
    struct slice rest = slice_of(text), line = take_line(&rest);
    ptrdiff_t space = slice_find(line, ' '), slash;
    bool is_fine;

    head.method_text = slice_make(line.at, (size_t)space);
    head.method = http_method_from(head.method_text);
    line = slice_skip(line, (size_t)space + 1);
    line = slice_skip(line, (size_t)slice_find(line, '/') + 2);
    slash = slice_find(line, '/');
    head.authority = slice_make(line.at, (size_t)slash);
    head.target = slice_skip(line, (size_t)slash);
    is_fine = head.authority.len == 0 ||
              host_normalise(arena, head.authority, &head.host, &head.host_port);
    is_fine &= path_normalise(arena, head.target, &head.path, &head.query);
    assert(is_fine);
    head.fields = read_fields(arena, rest);
    return head;
}

struct http_head response_from_text(struct arena *arena, const char *text)
{
    struct http_head head = {.version_minor = 1};
    struct slice rest = slice_of(text), line = take_line(&rest);
    const struct http_field *length;

    head.status = atoi(arena_text(arena, line));
    head.fields = read_fields(arena, rest);
    length = http_fields_get(&head.fields, FIELD_CONTENT_LENGTH);
    head.has_content_length = length && slice_parse_u64(length->value, &head.content_length);
    return head;
}

const char *text_from_fields(struct arena *arena, const struct http_fields *fields)
{
    struct slice text = slice_of("");

    for (uint32_t i = 0; i < fields->count; i++)
        text = arena_printf(arena, "%.*s%s%.*s: %.*s", (int)text.len, text.at, i > 0 ? "\n" : "",
                            (int)fields->list[i].name.len, fields->list[i].name.at,
                            (int)fields->list[i].value.len, fields->list[i].value.at);
    return arena_text(arena, text);
}
