#include "http/caching_internal.h"

#include "http/http_date.h"

#include <stdio.h>

/* --- fields --------------------------------------------------------------------------------- */

const struct http_field *caching_single(const struct http_fields *fields, const char *name)
{
    const struct http_field *found = NULL;
    struct slice text = slice_of(name);

    for (uint32_t i = 0; i < fields->count; i++) {
        if (!slice_equal_nocase(fields->list[i].name, text))
            continue;
        if (found)
            return NULL;
        found = &fields->list[i];
    }
    return found;
}

bool caching_date(const struct http_fields *fields, const char *name, int64_t now_s,
                  int64_t *seconds)
{
    const struct http_field *field = caching_single(fields, name);

    return field && http_date_read(field->value, now_s, seconds);
}

bool caching_read_etag(struct slice text, struct caching_etag *etag)
{
    etag->is_weak = slice_starts_with(text, slice_of("W/"));
    etag->opaque = etag->is_weak ? slice_skip(text, 2) : text;
    if (etag->opaque.len < 2 || etag->opaque.at[0] != '"' ||
        slice_find(slice_skip(etag->opaque, 1), '"') != (ptrdiff_t)etag->opaque.len - 2)
        return false;
    for (size_t i = 1; i < etag->opaque.len - 1; i++)
        if ((unsigned char)etag->opaque.at[i] <= 0x20 || etag->opaque.at[i] == 0x7f)
            return false;
    return true;
}

bool caching_etag_of(const struct http_fields *fields, struct caching_etag *etag)
{
    const struct http_field *field = caching_single(fields, "etag");

    return field && caching_read_etag(field->value, etag);
}

char *caching_append_number(char *at, int32_t number)
{
    char digits[CACHING_NUMBER_MOST];
    size_t from = sizeof(digits);
    uint32_t left = number < 0 ? -(uint32_t)number : (uint32_t)number;

    do {
        digits[--from] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0)
        digits[--from] = '-';
    return caching_append(at, slice_make(digits + from, sizeof(digits) - from));
}

/* --- the request ---------------------------------------------------------------------------- */

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

/* The authority is what the key says of it, so that a backend which puts it into its answer says
 * nothing that others do not expect: not "EXAMPLE.com", "example.com." or "example.com:443". */
static bool is_plainly_spelled(const struct http_head *request)
{
    struct slice host = request->host, rest = request->authority;
    bool is_literal = slice_find(host, ':') >= 0;

    if (is_literal && rest.len > 0)
        rest = slice_skip(rest, 1);
    if (!slice_starts_with(rest, host))
        return false;
    rest = slice_skip(rest, host.len + (is_literal && rest.len > host.len));
    if (request->host_port == 0)
        return rest.len == 0;
    return request->host_port != HTTP_PORT && request->host_port != HTTPS_PORT;
}

/* "bytes=…" */
static bool is_byte_range(struct slice value)
{
    return value.len > 6 && IS_NAMED(slice_make(value.at, 6), "bytes=");
}

static void note_field(struct caching_request *caching, const struct http_field *field)
{
    struct slice name = field->name;

    if (name.len < 5)
        return;
    switch (name.at[0] | 0x20) {
    case 'a': caching->has_authorization |= IS_NAMED(name, "authorization"); break;
    case 'r': caching->has_range |= IS_NAMED(name, "range") && is_byte_range(field->value); break;
    case 'i':
        if (IS_NAMED(name, "if-none-match") || IS_NAMED(name, "if-modified-since"))
            caching->has_condition = true;
        else if (IS_NAMED(name, "if-match") || IS_NAMED(name, "if-unmodified-since"))
            caching->bypass = "precondition";
        break;
    default: break;
    }
}

void caching_read_request(const struct http_head *request, struct arena *arena,
                          struct caching_request *caching)
{
    bool has_body = request->framing != BODY_NONE &&
                    (request->framing != BODY_LENGTH || request->content_length > 0);

    *caching = (struct caching_request){.is_head = request->method == METHOD_HEAD};
    cache_control_of_request(&request->fields, arena, &caching->control);
    for (uint32_t i = 0; i < request->fields.count; i++)
        note_field(caching, &request->fields.list[i]);
    caching->has_range &= !caching->is_head;
    if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        caching->bypass = "method";
    else if (request->upgrade.len > 0 || request->needs_upgrade)
        caching->bypass = "upgrade";
    else if (has_body)
        caching->bypass = "body";
    caching->may_look_up = !caching->bypass;
    caching->may_store = caching->may_look_up && !caching->is_head && !caching->control.no_store &&
                         is_plainly_spelled(request);
}

void caching_bypass(struct caching_request *caching, const char *why)
{
    caching->may_look_up = caching->may_store = false;
    if (!caching->bypass)
        caching->bypass = why;
}

struct slice caching_key(const struct http_head *request, bool is_tls, struct arena *arena)
{
    bool is_literal = slice_find(request->host, ':') >= 0;
    bool has_port =
        request->host_port != 0 && request->host_port != (is_tls ? HTTPS_PORT : HTTP_PORT);
    size_t most =
        sizeof("https://[]:65535") + request->host.len + request->path.len + request->query.len;
    char *text = arena_bytes(arena, most), *at = text;

    at = caching_append(at, is_tls ? slice_of("https://") : slice_of("http://"));
    at = caching_append(at, slice_make("[", is_literal));
    at = caching_append(at, request->host);
    at = caching_append(at, slice_make("]", is_literal));
    if (has_port)
        at += snprintf(at, sizeof(":65535"), ":%u", request->host_port);
    at = caching_append(at, request->path);
    at = caching_append(at, request->query);
    return slice_make(text, (size_t)(at - text));
}

/* --- freshness ------------------------------------------------------------------------------ */

static int32_t saturate(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > CACHE_SECONDS_MOST ? CACHE_SECONDS_MOST : (int32_t)seconds;
}

int32_t caching_age(const struct caching_life *life, int64_t now_s)
{
    return saturate(now_s - life->born_s);
}

int32_t caching_ttl(const struct caching_life *life, int64_t now_s)
{
    return life->fresh_s - caching_age(life, now_s); /* both are 0 at least */
}

/* Stale by that much: is it a client's wish? */
static bool is_asked_for(const struct caching_life *life, const struct cache_control *control,
                         int32_t stale_s)
{
    return !life->never_stale && (control->any_stale || stale_s <= control->max_stale);
}

enum caching_verdict caching_judge(const struct caching_life *life,
                                   const struct caching_request *request, int64_t now_s)
{
    const struct cache_control *control = &request->control;
    int32_t age = caching_age(life, now_s), ttl = life->fresh_s - age;
    bool has_max_age = control->max_age != CACHE_SECONDS_NONE;

    if (life->must_validate || control->no_cache)
        return CACHING_STALE;
    /* RFC 8246 section 2: reloading what cannot have changed is no reason to ask. */
    if (has_max_age && age > control->max_age && !(life->is_immutable && ttl > 0))
        return CACHING_STALE;
    if (control->min_fresh != CACHE_SECONDS_NONE && ttl < control->min_fresh)
        return CACHING_STALE;
    if (ttl > 0)
        return CACHING_FRESH;
    if (is_asked_for(life, control, -ttl))
        return CACHING_STALE_OK;
    /* With max-age the client says that it takes nothing stale (section 5.2.1.1). */
    if (life->while_revalidate_s > 0 && -ttl <= life->while_revalidate_s && !has_max_age)
        return CACHING_STALE_WHILE_REVALIDATE;
    return CACHING_STALE;
}

bool caching_may_serve_on_error(const struct caching_life *life,
                                const struct caching_request *request, int64_t now_s)
{
    int32_t ttl = caching_ttl(life, now_s), limit = life->if_error_s;

    if (life->must_validate || request->control.no_cache)
        return false;
    if (!life->never_stale && request->control.stale_if_error > limit)
        limit = request->control.stale_if_error;
    return ttl > 0 || (limit > 0 && -ttl <= limit);
}

bool caching_is_error(int status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}
