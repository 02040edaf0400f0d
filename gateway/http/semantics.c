#include "http/semantics.h"

#include "http/target.h"

static bool is_text(struct slice value, const char *text)
{
    return slice_equal_nocase(value, slice_of(text));
}

/* --- fields --------------------------------------------------------------------------------- */

bool http_fields_get_single(const struct http_fields *fields, enum field_id id,
                            const struct http_field **single)
{
    *single = http_fields_get(fields, id);
    if (!*single)
        return true;
    for (uint32_t i = (uint32_t)(*single - fields->list) + 1; i < fields->count; i++)
        if (fields->list[i].id == id)
            return false;
    return true;
}

bool http_field_take_underscores(struct http_field *field, bool allowed)
{
    if (slice_find(field->name, '_') < 0)
        return true;
    field->id = field_id_with_underscores(field->name);
    return allowed;
}

/* --- length --------------------------------------------------------------------------------- */

const char *http_read_length(struct http_head *head)
{
    const struct http_field *length;

    if (!http_fields_get_single(&head->fields, FIELD_CONTENT_LENGTH, &length))
        return "several Content-Length fields";
    if (!length)
        return NULL;
    if (!slice_parse_u64(length->value, &head->content_length))
        return "a Content-Length that is no number";
    if (head->content_length > INT64_MAX)
        return "a Content-Length that some would read as negative";
    head->has_content_length = true;
    return NULL;
}

bool http_length_is_plain(const struct http_fields *fields)
{
    const struct http_field *length = http_fields_get(fields, FIELD_CONTENT_LENGTH);

    return !length || length->value.len == 1 || length->value.at[0] != '0';
}

/* --- targets -------------------------------------------------------------------------------- */

const char *http_read_path(struct http_head *head, struct arena *arena, struct slice target)
{
    if (slice_equal(target, slice_of("*"))) {
        if (head->method != METHOD_OPTIONS)
            return "the target * without OPTIONS";
        head->path = target;
        return NULL;
    }
    return path_normalise(arena, target, &head->path, &head->query) ? NULL
                                                                    : "a path that is refused";
}

bool http_is_same_authority(struct arena *arena, struct slice a, struct slice b,
                            uint16_t default_port)
{
    struct slice host_a, host_b;
    uint16_t port_a, port_b;

    return host_normalise(arena, a, &host_a, &port_a) &&
           host_normalise(arena, b, &host_b, &port_b) && slice_equal(host_a, host_b) &&
           (port_a ? port_a : default_port) == (port_b ? port_b : default_port);
}

/* --- expectations --------------------------------------------------------------------------- */

const char *http_read_expectation(struct http_head *head)
{
    struct http_fields *fields = &head->fields;
    const struct http_field *expect;

    if (!http_fields_get_single(fields, FIELD_EXPECT, &expect))
        return "several Expect fields";
    if (!expect)
        return NULL;
    if (head->version_minor > 0 && !is_text(expect->value, "100-continue"))
        return "an expectation other than 100-continue";
    head->expects_continue = head->version_minor > 0 && head->framing != BODY_NONE;
    if (!head->expects_continue) {
        size_t at = (size_t)(expect - fields->list);

        fields->count--;
        memmove(&fields->list[at], &fields->list[at + 1],
                (fields->count - at) * sizeof(*fields->list));
    }
    return NULL;
}

/* --- bodies of responses -------------------------------------------------------------------- */

struct http_body_plan http_plan_response_body(const struct http_head *head,
                                              enum http_method asked_with)
{
    bool never_says = head->status < 200 || head->status == 204;

    if (asked_with == METHOD_HEAD || never_says || head->status == 304)
        return (struct http_body_plan){
            .framing = BODY_NONE,
            .says_length =
                !never_says && (head->has_content_length || head->framing == BODY_LENGTH),
            .length = head->content_length,
        };
    switch (head->framing) {
    case BODY_NONE: return (struct http_body_plan){.framing = BODY_NONE, .says_length = true};
    case BODY_LENGTH:
        return (struct http_body_plan){
            .framing = BODY_LENGTH, .says_length = true, .length = head->content_length};
    case BODY_CHUNKED:
    case BODY_CLOSE: break;
    }
    return (struct http_body_plan){.framing = BODY_CHUNKED};
}

/* --- trailers ------------------------------------------------------------------------------- */

static bool is_forbidden_trailer(const struct http_field *field)
{
    static const char *const names[] = {
        "age",          "authorization", "cache-control", "content-encoding", "content-range",
        "content-type", "expires",       "location",      "max-forwards",     "pragma",
        "range",        "retry-after",   "vary",          "www-authenticate",
    };

    if (field->id != FIELD_OTHER)
        return true; /* whatever the gateway acts on, it acts on in heads */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_text(field->name, names[i]))
            return true;
    return false;
}

void http_drop_forbidden_trailers(struct http_fields *trailers)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < trailers->count; i++)
        if (!is_forbidden_trailer(&trailers->list[i]))
            trailers->list[kept++] = trailers->list[i];
    trailers->count = kept;
}
