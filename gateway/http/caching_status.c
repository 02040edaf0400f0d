/* What is said of the cache, what is dropped from it, and by which tags (RFC 9111 section 4.4, RFC
 * 9211). */
#include "http/caching_internal.h"
#include "http/target.h"

/* --- Cache-Status (RFC 9211) ---------------------------------------------------------------- */

static const char *const forward_words[] = {
    [CACHING_FWD_NONE] = "",
    [CACHING_FWD_BYPASS] = "bypass",
    [CACHING_FWD_METHOD] = "method",
    [CACHING_FWD_URI_MISS] = "uri-miss",
    [CACHING_FWD_VARY_MISS] = "vary-miss",
    [CACHING_FWD_MISS] = "miss",
    [CACHING_FWD_REQUEST] = "request",
    [CACHING_FWD_STALE] = "stale",
};

/* As a token if it is one, else as a string; it is the gateway's own, so without quotes in it. */
static char *append_detail(char *at, struct slice text)
{
    bool is_letter = (text.at[0] | 0x20) >= 'a' && (text.at[0] | 0x20) <= 'z';
    bool is_token = is_letter && http_is_token(text);

    at = caching_append(at, slice_of("; detail="));
    at = caching_append(at, slice_make("\"", !is_token));
    at = caching_append(at, text);
    return caching_append(at, slice_make("\"", !is_token));
}

static char *append_forward(char *at, const struct caching_status *status)
{
    if (status->forward == CACHING_FWD_NONE)
        return caching_append(at, slice_of("; hit"));
    at = caching_append(at, slice_of("; fwd="));
    at = caching_append(at, slice_of(forward_words[status->forward]));
    if (status->forward_status <= 0)
        return at;
    at = caching_append(at, slice_of("; fwd-status="));
    return caching_append_number(at, status->forward_status);
}

struct slice caching_status_text(const struct caching_status *status, struct arena *arena)
{
    static const char longest[] = "sallyport; fwd=vary-miss; fwd-status=; ttl=; stored; collapsed; "
                                  "detail=\"\"";
    struct slice detail = status->detail ? slice_of(status->detail) : slice_make(NULL, 0);
    char *text = arena_bytes(arena, sizeof(longest) + 2 * CACHING_NUMBER_MOST + detail.len);
    char *at = caching_append(text, slice_of("sallyport"));

    at = append_forward(at, status);
    if (status->has_ttl) {
        at = caching_append(at, slice_of("; ttl="));
        at = caching_append_number(at, status->ttl_s);
    }
    if (status->is_stored)
        at = caching_append(at, slice_of("; stored"));
    if (status->is_collapsed)
        at = caching_append(at, slice_of("; collapsed"));
    if (detail.len > 0)
        at = append_detail(at, detail);
    return slice_make(text, (size_t)(at - text));
}

void caching_add_status(struct http_fields *fields, struct slice text, struct arena *arena)
{
    http_fields_add_id(fields, arena, FIELD_OTHER, slice_of("Cache-Status"), text);
}

/* --- invalidation --------------------------------------------------------------------------- */

bool caching_invalidates(enum http_method method, int status)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_OPTIONS:
    case METHOD_TRACE: return false;
    case METHOD_POST:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_CONNECT:
    case METHOD_PATCH:
    case METHOD_OTHER: break;
    }
    return status >= 200 && status <= 399;
}

/* Behind "https://" or "//": whether it is the request's own origin. *rest is what follows. */
static bool is_own_authority(const struct http_head *request, bool is_tls, struct slice text,
                             struct arena *arena, struct slice *rest)
{
    uint16_t usual = is_tls ? 443 : 80, port;
    size_t length = 0;
    struct slice host;

    while (length < text.len && !strchr("/?#", text.at[length]))
        length++;
    *rest = slice_skip(text, length);
    return host_normalise(arena, slice_make(text.at, length), &host, &port) &&
           slice_equal(host, request->host) &&
           (port ? port : usual) == (request->host_port ? request->host_port : usual);
}

/* "." and ".." taken out of a path that begins with "/" (RFC 3986 section 5.2.4). */
static struct slice without_dots(struct slice path, struct arena *arena)
{
    char *text = arena_bytes(arena, path.len + 1);
    size_t length = 0, from = 1;

    while (from <= path.len) {
        ptrdiff_t slash = slice_find(slice_skip(path, from), '/');
        bool is_last = slash < 0;
        size_t end = is_last ? path.len : from + (size_t)slash;
        struct slice segment = slice_make(path.at + from, end - from);
        bool climbs = slice_equal(segment, slice_of(".."));

        if (climbs)
            while (length > 0 && text[--length] != '/')
                ;
        if (climbs || slice_equal(segment, slice_of("."))) {
            if (is_last)
                text[length++] = '/';
        } else {
            text[length++] = '/';
            if (segment.len > 0)
                memcpy(text + length, segment.at, segment.len);
            length += segment.len;
        }
        from = end + 1;
    }
    return slice_make(text, length);
}

/* A relative reference, merged with the request's path (RFC 3986 section 5.2.3). */
static struct slice merge(const struct http_head *request, struct slice path, struct arena *arena)
{
    ptrdiff_t slash = slice_find_last(request->path, '/');

    if (path.len > 0 && path.at[0] == '/')
        return path;
    return arena_printf(arena, "%.*s%.*s", (int)slash + 1, request->path.at, (int)path.len,
                        path.at);
}

static bool has_scheme(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == ':')
            return true;
        if (strchr("/?#", text.at[i]))
            return false;
    }
    return false;
}

/* The target of a reference to the same origin: path and query; false for everything else. */
static bool resolve(const struct http_head *request, bool is_tls, struct slice text,
                    struct arena *arena, struct slice *path, struct slice *query)
{
    struct slice scheme = is_tls ? slice_of("https://") : slice_of("http://");
    ptrdiff_t hash = slice_find(text, '#'), mark;

    text.len = hash < 0 ? text.len : (size_t)hash;
    if (text.len >= scheme.len && slice_equal_nocase(slice_make(text.at, scheme.len), scheme)) {
        if (!is_own_authority(request, is_tls, slice_skip(text, scheme.len), arena, &text))
            return false;
        if (text.len == 0 || text.at[0] == '?')
            text = arena_printf(arena, "/%.*s", (int)text.len, text.at);
    } else if (slice_starts_with(text, slice_of("//"))) {
        if (!is_own_authority(request, is_tls, slice_skip(text, 2), arena, &text))
            return false;
        if (text.len == 0 || text.at[0] == '?')
            text = arena_printf(arena, "/%.*s", (int)text.len, text.at);
    } else if (text.len == 0 || has_scheme(text)) {
        return false;
    }
    mark = slice_find(text, '?');
    *query = mark < 0 ? slice_make(NULL, 0) : slice_skip(text, (size_t)mark);
    *path = slice_make(text.at, mark < 0 ? text.len : (size_t)mark);
    *path = path->len == 0 ? request->path : without_dots(merge(request, *path, arena), arena);
    return true;
}

static bool resolve_key(const struct http_head *request, bool is_tls, struct slice text,
                        struct arena *arena, struct slice *key)
{
    struct http_head named = *request;
    struct slice path, query, unused;

    if (!resolve(request, is_tls, text, arena, &path, &query) ||
        !path_normalise(arena, path, &named.path, &unused))
        return false;
    named.query = query;
    *key = caching_key(&named, is_tls, arena);
    return true;
}

unsigned caching_invalidated_keys(const struct http_head *request, bool is_tls,
                                  const struct http_fields *response, struct arena *arena,
                                  struct slice keys[CACHING_INVALIDATED_MOST])
{
    static const char *const names[] = {"location", "content-location"};
    unsigned count = 0;

    keys[count++] = caching_key(request, is_tls, arena);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct http_field *field = caching_single(response, names[i]);

        if (field && resolve_key(request, is_tls, field->value, arena, &keys[count]))
            count++;
    }
    return count;
}

/* --- tags ----------------------------------------------------------------------------------- */

static bool take_word(struct slice *rest, bool by_commas, struct slice *word)
{
    size_t length = 0;

    if (by_commas)
        return slice_next_in_list(rest, word);
    *rest = slice_trim(*rest);
    while (length < rest->len && rest->at[length] != ' ' && rest->at[length] != '\t')
        length++;
    *word = slice_make(rest->at, length);
    *rest = slice_skip(*rest, length);
    return length > 0;
}

bool caching_next_tag(struct caching_tags *tags, struct slice *tag)
{
    for (;;) {
        bool by_commas;

        if (tags->rest.len > 0) {
            by_commas = IS_NAMED(tags->fields->list[tags->next - 1].name, "cache-tag");
            if (take_word(&tags->rest, by_commas, tag))
                return true;
        }
        if (tags->next == tags->fields->count)
            return false;
        const struct http_field *field = &tags->fields->list[tags->next++];
        if (IS_NAMED(field->name, "surrogate-key") || IS_NAMED(field->name, "cache-tag"))
            tags->rest = field->value;
    }
}
