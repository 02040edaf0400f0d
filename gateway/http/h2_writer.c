#include "http/h2_writer.h"

#include "base/check.h"

/* nghttp2 asks for bytes that may be written, and writes none. */
static void put(struct h2_fields *into, struct slice name, struct slice value)
{
    into->list[into->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .value = (uint8_t *)(uintptr_t)value.at,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

/* Room for so many: what a backend sizes is not always to be had. */
static bool begin(struct h2_fields *into, struct arena *arena, size_t most)
{
    into->count = 0;
    into->list = into->few;
    if (most <= H2_FIELDS_FEW)
        return true;
    if (!arena_provide(arena, most * sizeof(*into->list)))
        return false;
    into->list = arena_alloc(arena, most * sizeof(*into->list));
    return true;
}

/* All but what belongs to a connection or is framing (RFC 9113 section 8.2.2), whoever put it
 * there; a response has no Host. */
static void put_fields(struct h2_fields *into, const struct http_fields *fields, bool is_tunnel)
{
    static const struct slice accept = {"sec-websocket-accept", 20};

    for (uint32_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];

        if (field_id_is_hop_by_hop(field->id) || field->id == FIELD_HOST)
            continue;
        /* It answers a key that the client has not seen. */
        if (is_tunnel && slice_equal_nocase(field->name, accept))
            continue;
        put(into, field->name, field->value);
    }
}

static void put_status(struct h2_fields *into, int status)
{
    assert(status >= 100 && status <= 999);
    into->status[0] = (char)('0' + status / 100);
    into->status[1] = (char)('0' + status / 10 % 10);
    into->status[2] = (char)('0' + status % 10);
    put(into, slice_of(":status"), slice_make(into->status, 3));
}

static void put_length(struct h2_fields *into, uint64_t length)
{
    size_t at = sizeof(into->length);

    do {
        into->length[--at] = (char)('0' + length % 10);
        length /= 10;
    } while (length > 0);
    put(into, slice_of("content-length"), slice_make(into->length + at, sizeof(into->length) - at));
}

bool h2_write_response_head(struct h2_fields *into, struct arena *arena,
                            const struct http_head *head, enum http_method asked_with,
                            struct http_body_plan *body)
{
    bool is_tunnel = head->status == 101;

    *body = http_plan_response_body(head, asked_with);
    if (!begin(into, arena, (size_t)head->fields.count + 2))
        return false;
    put_status(into, is_tunnel ? 200 : head->status);
    put_fields(into, &head->fields, is_tunnel);
    if (body->says_length)
        put_length(into, body->length);
    if (is_tunnel)
        body->framing = BODY_CLOSE;
    return true;
}

bool h2_write_trailers(struct h2_fields *into, struct arena *arena,
                       const struct http_fields *trailers)
{
    if (!begin(into, arena, trailers->count))
        return false;
    put_fields(into, trailers, false);
    return true;
}
