#include "http/h1_semantics.h"

#include "http/semantics.h"
#include "http/target.h"

static bool is_text(struct slice value, const char *text)
{
    return slice_equal_nocase(value, slice_of(text));
}

/* --- framing (RFC 9112 section 6) ----------------------------------------------------------- */

/* Sets framing and length as far as the fields say. */
static const char *read_framing(struct http_head *head)
{
    const char *problem = http_read_length(head);
    const struct http_field *coding;

    if (problem)
        return problem;
    if (!http_fields_get_single(&head->fields, FIELD_TRANSFER_ENCODING, &coding))
        return "several Transfer-Encoding fields";
    if (!coding) {
        if (head->content_length > 0)
            head->framing = BODY_LENGTH;
        return NULL;
    }
    if (head->has_content_length)
        return "both Transfer-Encoding and Content-Length";
    if (head->version_minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    if (!is_text(coding->value, "chunked"))
        return "a transfer coding other than chunked";
    head->framing = BODY_CHUNKED;
    return NULL;
}

/* --- connection ----------------------------------------------------------------------------- */

/* The name of "name" or "name/version" (RFC 9110 section 7.8). False for anything else. */
static bool read_protocol(struct slice protocol, struct slice *name)
{
    ptrdiff_t slash = slice_find(protocol, '/');

    *name = slash < 0 ? protocol : slice_make(protocol.at, (size_t)slash);
    return http_is_token(*name) &&
           (slash < 0 || http_is_token(slice_skip(protocol, (size_t)slash + 1)));
}

/* *protocols: Upgrade's value without h2c, which this gateway does not speak (RFC 9113 section 3.1
 * took it back). False if it is no list of protocols. */
static bool read_upgrade(const struct http_fields *fields, struct arena *arena,
                         struct slice *protocols)
{
    size_t room = 0;
    char *joined;

    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id == FIELD_UPGRADE)
            room += 2 * fields->list[i].value.len + 2;
    joined = arena_bytes(arena, room);
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice rest = fields->list[i].value, one, name;

        if (fields->list[i].id != FIELD_UPGRADE)
            continue;
        while (slice_next_in_list(&rest, &one)) {
            if (!read_protocol(one, &name))
                return false;
            if (is_text(name, "h2c"))
                continue;
            if (protocols->len > 0) {
                memcpy(joined + protocols->len, ", ", 2);
                protocols->len += 2;
            }
            memcpy(joined + protocols->len, one.at, one.len);
            *protocols = slice_make(joined, protocols->len + one.len);
        }
    }
    return true;
}

static const char *read_connection(struct http_head *head, struct arena *arena)
{
    const struct http_fields *fields = &head->fields;
    bool close = http_fields_have_token(fields, FIELD_CONNECTION, slice_of("close"));

    if (head->version_minor > 0) {
        head->keeps_connection = !close;
        if (http_fields_have_token(fields, FIELD_CONNECTION, slice_of("upgrade")) &&
            !read_upgrade(fields, arena, &head->upgrade))
            return "an Upgrade that is no list of protocols";
    } else {
        head->keeps_connection =
            !close && http_fields_have_token(fields, FIELD_CONNECTION, slice_of("keep-alive"));
    }
    return NULL;
}

/* --- requests ------------------------------------------------------------------------------- */

/* Splits "http://authority/path?query". False if `target` does not begin like that. */
static bool split_absolute(struct slice target, struct slice *authority, struct slice *rest,
                           uint16_t *default_port)
{
    static const struct {
        struct slice prefix;
        uint16_t port;
    } schemes[] = {{{"http://", 7}, 80}, {{"https://", 8}, 443}};

    for (int i = 0; i < 2; i++) {
        size_t skip = schemes[i].prefix.len, end = skip;

        if (target.len < skip ||
            !slice_equal_nocase(slice_make(target.at, skip), schemes[i].prefix))
            continue;
        while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
            end++;
        *authority = slice_make(target.at + skip, end - skip);
        *rest = slice_skip(target, end);
        *default_port = schemes[i].port;
        return true;
    }
    return false;
}

/* What is behind an absolute-form target's authority; an empty path stands for "/". */
static bool read_absolute_path(struct http_head *head, struct arena *arena, struct slice rest)
{
    if (rest.len == 0) {
        /* RFC 9112 section 3.2.4: this is how OPTIONS * comes through a proxy. */
        head->path = slice_of(head->method == METHOD_OPTIONS ? "*" : "/");
        return true;
    }
    if (rest.at[0] == '?')
        rest = arena_printf(arena, "/%.*s", (int)rest.len, rest.at);
    return path_normalise(arena, rest, &head->path, &head->query);
}

static const char *read_target(struct http_head *head, struct arena *arena,
                               const struct http_field *host)
{
    struct slice target = head->target, rest;
    uint16_t default_port;

    if (head->method == METHOD_CONNECT) {
        uint16_t port;

        if (!host_normalise(arena, target, &rest, &port))
            return "a CONNECT target that is no authority";
    } else if (target.at[0] == '/' || slice_equal(target, slice_of("*"))) {
        return http_read_path(head, arena, target);
    } else {
        if (!split_absolute(target, &head->authority, &rest, &default_port))
            return "a target that is neither a path nor a URL";
        if (!read_absolute_path(head, arena, rest))
            return "a path that is refused";
        if (head->authority.len == 0)
            return "a URL without a host";
        if (host && !http_is_same_authority(arena, head->authority, host->value, default_port))
            return "a Host that differs from the URL's";
    }
    return NULL;
}

const char *h1_understand_request(struct http_head *head, struct arena *arena)
{
    const struct http_field *host;
    const char *problem;

    head->method = http_method_from(head->method_text);
    if (!http_fields_get_single(&head->fields, FIELD_HOST, &host))
        return "several Host fields";
    if (!host && head->version_minor > 0)
        return "no Host in HTTP/1.1";
    problem = read_target(head, arena, host);
    if (problem)
        return problem;
    if (head->authority.len == 0 && host)
        head->authority = host->value;
    if ((host || head->authority.len > 0) &&
        !host_normalise(arena, head->authority, &head->host, &head->host_port))
        return "an invalid host";
    problem = read_framing(head);
    if (!problem && !http_length_is_plain(&head->fields))
        problem = "a Content-Length with a zero in front";
    if (!problem)
        problem = read_connection(head, arena);
    if (!problem)
        problem = http_read_expectation(head);
    /* Who asks for a tunnel may have begun to use it: what follows is no request of theirs. */
    if (head->method == METHOD_CONNECT)
        head->keeps_connection = false;
    return problem;
}

/* --- responses ------------------------------------------------------------------------------ */

/* 1xx and 204 (RFC 9110 sections 15.2 and 15.3.5). What announces a body all the same may send it.
 */
static const char *end_behind_head(struct http_head *head)
{
    bool announces_body = head->framing != BODY_NONE;

    if (announces_body && head->status < 200)
        return "an interim response with a body";
    if (announces_body)
        head->keeps_connection = false;
    head->has_content_length = false;
    head->content_length = 0;
    head->framing = BODY_NONE;
    return NULL;
}

const char *h1_understand_response(struct http_head *head, struct arena *arena,
                                   enum http_method asked_with)
{
    const char *problem = read_framing(head);
    bool never_has_body = head->status < 200 || head->status == 204;

    if (!problem)
        problem = read_connection(head, arena);
    if (problem)
        return problem;
    if (never_has_body)
        return end_behind_head(head);
    if (head->status == 304 || asked_with == METHOD_HEAD) {
        head->framing = BODY_NONE;
    } else if (head->framing == BODY_NONE && !head->has_content_length) {
        head->framing = BODY_CLOSE;
        head->keeps_connection = false;
    }
    return NULL;
}
