#include "http/h2_semantics.h"

#include "base/base64url.h"
#include "base/random.h"
#include "http/semantics.h"
#include "http/target.h"

static bool is_text(struct slice value, const char *text)
{
    return slice_equal_nocase(value, slice_of(text));
}

static enum h2_verdict say(enum h2_verdict verdict, const char **detail, const char *what)
{
    *detail = what;
    return verdict;
}

/* --- names and values (RFC 9113 section 8.2) ------------------------------------------------- */

static bool is_lower_token(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= 'A' && name.at[i] <= 'Z')
            return false;
    return http_is_token(name);
}

/* Empty, or with neither controls in it nor blanks around it. */
static bool is_clean_value(struct slice value)
{
    return value.len == 0 || (http_is_field_value(value) && slice_trim(value).len == value.len);
}

/* Section 8.2.2; HTTP2-Settings belongs to a connection's Upgrade, which HTTP/2 has none of. */
static bool is_of_connection(const struct http_field *field)
{
    switch (field->id) {
    case FIELD_CONNECTION:
    case FIELD_HTTP2_SETTINGS:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE: return true;
    case FIELD_TE: return !is_text(field->value, "trailers");
    default: return false;
    }
}

static enum h2_verdict check_field(struct http_field *field, bool underscores, const char **detail)
{
    if (!is_lower_token(field->name))
        return say(H2_MALFORMED, detail, "a field name that is no token in lower case");
    if (!is_clean_value(field->value))
        return say(H2_MALFORMED, detail, "controls in a field value, or blanks around it");
    if (is_of_connection(field))
        return say(H2_MALFORMED, detail, "a field of HTTP/1 connections");
    if (!http_field_take_underscores(field, underscores))
        return say(H2_REFUSED, detail, "an underscore in a field name");
    return H2_UNDERSTOOD;
}

static enum h2_verdict check_fields(struct http_fields *fields, bool underscores,
                                    const char **detail)
{
    enum h2_verdict worst = H2_UNDERSTOOD;

    for (uint32_t i = 0; i < fields->count; i++) {
        enum h2_verdict verdict = check_field(&fields->list[i], underscores, detail);

        if (verdict == H2_MALFORMED)
            return verdict;
        if (verdict == H2_REFUSED)
            worst = verdict;
    }
    return worst;
}

/* --- pseudo-header fields (section 8.3.1) ---------------------------------------------------- */

/* None is ever empty: what has no length is not there. */
struct pseudo {
    struct slice method, scheme, authority, path, protocol;
};

static struct slice *place_of(struct pseudo *pseudo, struct slice name)
{
    const struct {
        const char *name;
        struct slice *place;
    } places[] = {{":method", &pseudo->method},
                  {":scheme", &pseudo->scheme},
                  {":authority", &pseudo->authority},
                  {":path", &pseudo->path},
                  {":protocol", &pseudo->protocol}};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (slice_equal(name, slice_of(places[i].name)))
            return places[i].place;
    return NULL;
}

static bool is_pseudo(const struct http_field *field)
{
    return field->name.len > 0 && field->name.at[0] == ':';
}

/* Takes those in front off the fields. One that comes later has a name that is no token. */
static const char *take_pseudo(struct http_fields *fields, struct pseudo *pseudo)
{
    uint32_t count = 0;

    for (; count < fields->count && is_pseudo(&fields->list[count]); count++) {
        struct slice *place = place_of(pseudo, fields->list[count].name);
        struct slice value = fields->list[count].value;

        if (!place)
            return "a pseudo-header field that is not known";
        if (place->len > 0)
            return "a pseudo-header field that comes twice";
        if (value.len == 0 || !is_clean_value(value))
            return "a pseudo-header field that is empty, or has controls or blanks around it";
        *place = value;
    }
    if (count == 0)
        return NULL; /* there may be no list */
    fields->count -= count;
    memmove(fields->list, fields->list + count, fields->count * sizeof(*fields->list));
    return NULL;
}

/* Which of them a method has (section 8.5, RFC 8441 section 4). */
static const char *check_presence(const struct pseudo *pseudo)
{
    bool is_connect = slice_equal(pseudo->method, slice_of("CONNECT"));

    if (!http_is_token(pseudo->method))
        return "no :method, or one that is no token";
    if (pseudo->method.len > HTTP_METHOD_LONGEST)
        return "a :method that is too long";
    if (pseudo->protocol.len > 0 && !is_connect)
        return "a :protocol without CONNECT";
    if (is_connect && pseudo->protocol.len == 0) {
        if (pseudo->scheme.len > 0 || pseudo->path.len > 0)
            return "a CONNECT with :scheme or :path";
        return pseudo->authority.len > 0 ? NULL : "a CONNECT without :authority";
    }
    if (pseudo->scheme.len == 0 || pseudo->path.len == 0)
        return "no :scheme, or no :path";
    if (pseudo->protocol.len > 0 && pseudo->authority.len == 0)
        return "a :protocol without :authority";
    return NULL;
}

/* --- target --------------------------------------------------------------------------------- */

static enum h2_verdict read_authority(struct http_head *head, struct arena *arena,
                                      const struct pseudo *pseudo, const char **detail)
{
    uint16_t default_port = is_text(pseudo->scheme, "http") ? 80 : 443;
    const struct http_field *host;

    if (!http_fields_get_single(&head->fields, FIELD_HOST, &host))
        return say(H2_MALFORMED, detail, "several Host fields");
    head->authority = pseudo->authority;
    if (pseudo->authority.len == 0) {
        if (!host)
            return say(H2_REFUSED, detail, "neither :authority nor Host");
        head->authority = host->value;
    }
    if (slice_find(head->authority, '@') >= 0)
        return say(H2_MALFORMED, detail, "user information in front of the host");
    if (!host_normalise(arena, head->authority, &head->host, &head->host_port))
        return say(H2_REFUSED, detail, "an invalid host");
    if (pseudo->authority.len > 0 && host &&
        !http_is_same_authority(arena, pseudo->authority, host->value, default_port))
        return say(H2_MALFORMED, detail, "a Host that differs from :authority");
    return H2_UNDERSTOOD;
}

static enum h2_verdict read_path(struct http_head *head, struct arena *arena,
                                 const struct pseudo *pseudo, const char **detail)
{
    const char *problem;

    if (!is_text(pseudo->scheme, "https") && !is_text(pseudo->scheme, "http"))
        return say(H2_REFUSED, detail, "a :scheme other than http and https");
    head->target = pseudo->path;
    if (head->target.at[0] != '/' &&
        (head->method != METHOD_OPTIONS || !slice_equal(head->target, slice_of("*"))))
        return say(H2_MALFORMED, detail, "a :path that is none");
    problem = http_read_path(head, arena, head->target);
    return problem ? say(H2_REFUSED, detail, problem) : H2_UNDERSTOOD;
}

static enum h2_verdict read_target(struct http_head *head, struct arena *arena,
                                   const struct pseudo *pseudo, const char **detail)
{
    enum h2_verdict verdict;

    head->method_text = pseudo->method;
    head->method = http_method_from(pseudo->method);
    verdict = read_authority(head, arena, pseudo, detail);
    if (verdict != H2_UNDERSTOOD)
        return verdict;
    if (pseudo->path.len > 0)
        return read_path(head, arena, pseudo, detail);
    head->target = pseudo->authority;
    if (head->host_port == 0)
        return say(H2_MALFORMED, detail, "a CONNECT to no port");
    return H2_UNDERSTOOD;
}

/* --- framing (section 8.1.1) ----------------------------------------------------------------- */

static bool has_body_by_nature(enum http_method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static enum h2_verdict read_framing(struct http_head *head, bool ends, const char **detail)
{
    const char *problem = http_read_length(head);

    if (problem)
        return say(H2_MALFORMED, detail, problem);
    if (ends && head->content_length > 0)
        return say(H2_MALFORMED, detail, "a Content-Length without its body");
    if (!http_length_is_plain(&head->fields))
        return say(H2_REFUSED, detail, "a Content-Length with a zero in front");
    if (head->content_length > 0)
        head->framing = BODY_LENGTH;
    else if (!ends && !head->has_content_length)
        head->framing = BODY_CHUNKED;
    if (ends && has_body_by_nature(head->method))
        head->has_content_length = true;
    return H2_UNDERSTOOD;
}

/* --- tunnels (RFC 8441) ---------------------------------------------------------------------- */

enum { KEY_BYTES = 16, KEY_LETTERS = BASE64URL_LENGTH(KEY_BYTES), KEY_PADDING = 2 };

/* RFC 6455 section 4.1: a nonce, by which caches and mistakes are told from servers. */
static struct slice make_key(struct arena *arena)
{
    uint64_t nonce[KEY_BYTES / sizeof(uint64_t)] = {random_seed(), random_seed()};
    char *key = arena_bytes(arena, KEY_LETTERS + KEY_PADDING);

    base64url_write((const uint8_t *)nonce, KEY_BYTES, key);
    for (size_t i = 0; i < KEY_LETTERS; i++) {
        if (key[i] == '-')
            key[i] = '+';
        else if (key[i] == '_')
            key[i] = '/';
    }
    memset(key + KEY_LETTERS, '=', KEY_PADDING);
    return slice_make(key, KEY_LETTERS + KEY_PADDING);
}

static void drop_named(struct http_fields *fields, struct slice name)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (!slice_equal(fields->list[i].name, name))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

static enum h2_verdict become_upgrade(struct http_head *head, struct arena *arena,
                                      struct slice protocol, const char **detail)
{
    struct slice key = slice_of("sec-websocket-key"), version = slice_of("sec-websocket-version");

    if (http_fields_get(&head->fields, FIELD_CONTENT_LENGTH))
        return say(H2_MALFORMED, detail, "a Content-Length in front of a tunnel");
    if (!http_is_token(protocol))
        return say(H2_MALFORMED, detail, "a :protocol that is no token");
    if (is_text(protocol, "h2c"))
        return say(H2_REFUSED, detail, "a tunnel for HTTP/2");
    head->method = METHOD_GET;
    head->method_text = slice_of("GET");
    head->upgrade = protocol;
    head->needs_upgrade = true;
    head->framing = BODY_NONE;
    if (is_text(protocol, "websocket")) {
        drop_named(&head->fields, key);
        http_fields_add(&head->fields, arena, key, make_key(arena));
        if (!http_fields_find(&head->fields, version))
            http_fields_add(&head->fields, arena, version, slice_of("13"));
    }
    return H2_UNDERSTOOD;
}

/* --- cookies (section 8.2.3) ----------------------------------------------------------------- */

/* Puts what all Cookie fields say into the first; empty ones say nothing. */
static void join_cookies(struct http_fields *fields, struct arena *arena)
{
    uint32_t first = 0, kept;
    size_t room = 0, length = 0;
    char *joined;

    while (first < fields->count && fields->list[first].id != FIELD_COOKIE)
        first++;
    kept = first + 1;
    for (uint32_t i = kept; i < fields->count; i++)
        if (fields->list[i].id == FIELD_COOKIE)
            room += fields->list[i].value.len + 2;
    if (room == 0)
        return; /* there is one at most */
    joined = arena_bytes(arena, fields->list[first].value.len + room);
    for (uint32_t i = first; i < fields->count; i++) {
        struct slice value = fields->list[i].value;

        if (fields->list[i].id != FIELD_COOKIE) {
            fields->list[kept++] = fields->list[i];
        } else if (value.len > 0) {
            if (length > 0) {
                memcpy(joined + length, "; ", 2);
                length += 2;
            }
            memcpy(joined + length, value.at, value.len);
            length += value.len;
        }
    }
    fields->list[first].value = slice_make(joined, length);
    fields->count = kept;
}

/* --- both sections -------------------------------------------------------------------------- */

enum h2_verdict h2_understand_request(struct http_head *head, struct arena *arena, bool ends,
                                      bool underscores, const char **detail)
{
    struct pseudo pseudo = {0};
    const char *problem = take_pseudo(&head->fields, &pseudo);
    enum h2_verdict verdict, of_fields;

    *detail = NULL;
    head->version_minor = 1;
    head->keeps_connection = true;
    if (!problem)
        problem = check_presence(&pseudo);
    if (problem)
        return say(H2_MALFORMED, detail, problem);
    of_fields = check_fields(&head->fields, underscores, detail);
    if (of_fields == H2_MALFORMED)
        return of_fields;
    verdict = read_target(head, arena, &pseudo, detail);
    if (verdict == H2_UNDERSTOOD)
        verdict = read_framing(head, ends, detail);
    if (verdict == H2_UNDERSTOOD && pseudo.protocol.len > 0)
        verdict = become_upgrade(head, arena, pseudo.protocol, detail);
    if (verdict != H2_UNDERSTOOD)
        return verdict;
    problem = http_read_expectation(head);
    if (problem)
        return say(H2_REFUSED, detail, problem);
    join_cookies(&head->fields, arena);
    return of_fields;
}

bool h2_understand_trailers(struct http_fields *trailers, bool underscores, const char **detail)
{
    *detail = NULL;
    if (check_fields(trailers, underscores, detail) != H2_UNDERSTOOD)
        return false;
    http_drop_forbidden_trailers(trailers);
    return true;
}
