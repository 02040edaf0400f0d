#include "http/h1_fields.h"

#include "http/semantics.h"

#include <llhttp.h>
#include <stdlib.h>

enum {
    CONNECTION_BYTES_MAX = 1024, /* each name in it is held against each field */
    FIELDS_TO_SPARE = 8,         /* for those that are added on the way */
};

static uint32_t capacity_of(const struct h1_parser *p)
{
    return p->field_lines + FIELDS_TO_SPARE;
}

bool h1_fields_provide(const struct h1_parser *p, struct arena *arena, size_t length)
{
    return arena_provide(arena, 2 * length + capacity_of(p) * sizeof(struct http_field));
}

/* What llhttp's callbacks fill. */
struct findings {
    struct arena *arena;
    struct http_fields *fields;
    struct slice name;
};

static int keep_name(llhttp_t *llhttp, const char *at, size_t length)
{
    struct findings *found = llhttp->data;

    found->name = slice_make(at, length);
    return HPE_OK;
}

static int add_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct findings *found = llhttp->data;

    http_fields_add(found->fields, found->arena, found->name, slice_trim(slice_make(at, length)));
    return HPE_OK;
}

static int pause_behind_fields(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = keep_name,
    .on_header_value = add_field,
    .on_headers_complete = pause_behind_fields,
};

/* Every list of fields is read from here: behind a start line that has llhttp take any framing
 * there is, whatever the message is. */
static llhttp_t behind_start_line;

__attribute__((constructor)) static void read_start_line(void)
{
    static const struct slice start_line = {"POST / HTTP/1.1\r\n", 17};

    llhttp_init(&behind_start_line, HTTP_REQUEST, &settings);
    if (llhttp_execute(&behind_start_line, start_line.at, start_line.len) != HPE_OK)
        abort();
}

static const char *check_field(const struct h1_parser *p, struct http_field *field)
{
    if (!http_is_token(field->name))
        return "a field name that is no token";
    if (p->kind == H1_REQUEST && !http_field_take_underscores(field, p->limits->underscores))
        return "an underscore in a field name";
    if (!http_is_field_value(field->value))
        return "controls in a field value";
    return NULL;
}

static enum http_reason check_fields(const struct h1_parser *p, struct http_fields *fields,
                                     const char **problem)
{
    size_t connection_bytes = 0;

    for (uint32_t i = 0; i < fields->count; i++) {
        struct http_field *field = &fields->list[i];

        *problem = check_field(p, field);
        if (*problem)
            return REASON_BAD_REQUEST;
        if (field->id == FIELD_CONNECTION)
            connection_bytes += field->value.len;
    }
    *problem = "too much in Connection";
    return connection_bytes > CONNECTION_BYTES_MAX ? REASON_HEADER_TOO_LARGE : REASON_NONE;
}

enum http_reason h1_fields_take(const struct h1_parser *p, struct slice lines, struct arena *arena,
                                struct http_fields *fields, const char **problem)
{
    struct findings found = {.arena = arena, .fields = fields};
    llhttp_t llhttp = behind_start_line;

    fields->capacity = capacity_of(p);
    fields->list = arena_alloc(arena, fields->capacity * sizeof(*fields->list));
    llhttp.data = &found;
    if (llhttp_execute(&llhttp, lines.at, lines.len) != HPE_PAUSED) {
        *problem = llhttp_get_error_reason(&llhttp);
        return REASON_BAD_REQUEST;
    }
    /* Two readers that saw different lines: one of them could be made to see another message. Here
     * and below nothing hangs on how strict a build of llhttp is. */
    if (llhttp_get_error_pos(&llhttp) != lines.at + lines.len || fields->count != p->field_lines) {
        *problem = "fields that can be read two ways";
        return REASON_BAD_REQUEST;
    }
    return check_fields(p, fields, problem);
}
