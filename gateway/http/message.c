#include "http/message.h"

#include "base/check.h"

/* --- characters ----------------------------------------------------------------------------- */

enum { CHAR_TOKEN = 1, CHAR_VALUE = 2 };

#define T (CHAR_TOKEN | CHAR_VALUE)
#define V CHAR_VALUE
/* clang-format off */
static const uint8_t char_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* ! " # $ % & ' ( ) * + , - . / */
    V, T, V, T, T, T, T, T, V, V, T, T, V, T, T, V,
    /* 0-9 : ; < = > ? */
    T, T, T, T, T, T, T, T, T, T, V, V, V, V, V, V,
    V, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T,
    T, T, T, T, T, T, T, T, T, T, T, V, V, V, T, T,
    T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T,
    T, T, T, T, T, T, T, T, T, T, T, V, T, V, T, 0,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};
/* clang-format on */
#undef T
#undef V

static bool is_all_of(struct slice text, uint8_t class)
{
    uint8_t common = class;

    for (size_t i = 0; i < text.len; i++)
        common &= char_class[(unsigned char)text.at[i]];
    return common != 0;
}

bool http_is_token(struct slice text)
{
    return text.len > 0 && is_all_of(text, CHAR_TOKEN);
}

bool http_is_field_value(struct slice text)
{
    return is_all_of(text, CHAR_VALUE);
}

/* --- methods -------------------------------------------------------------------------------- */

static const struct slice method_names[] = {
    [METHOD_GET] = {"GET", 3},         [METHOD_HEAD] = {"HEAD", 4},
    [METHOD_POST] = {"POST", 4},       [METHOD_PUT] = {"PUT", 3},
    [METHOD_DELETE] = {"DELETE", 6},   [METHOD_CONNECT] = {"CONNECT", 7},
    [METHOD_OPTIONS] = {"OPTIONS", 7}, [METHOD_TRACE] = {"TRACE", 5},
    [METHOD_PATCH] = {"PATCH", 5},
};

enum http_method http_method_from(struct slice text)
{
    for (int method = METHOD_GET; method < METHOD_OTHER; method++)
        if (slice_equal(text, method_names[method]))
            return (enum http_method)method;
    return METHOD_OTHER;
}

bool http_method_is_idempotent(enum http_method method)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE: return true;
    case METHOD_POST:
    case METHOD_CONNECT:
    case METHOD_PATCH:
    case METHOD_OTHER: break;
    }
    return false;
}

/* --- field names ---------------------------------------------------------------------------- */

struct known_field {
    const char *name; /* lower-case */
    enum field_id id;
};

enum { KNOWN_FIELDS_PER_LENGTH = 4, KNOWN_FIELD_LONGEST = 19 };

/* By length, so that most names are told apart without comparing a byte. */
static const struct known_field known_fields[KNOWN_FIELD_LONGEST + 1][KNOWN_FIELDS_PER_LENGTH] = {
    [2] = {{"te", FIELD_TE}},
    [3] = {{"via", FIELD_VIA}},
    [4] = {{"host", FIELD_HOST}, {"date", FIELD_DATE}},
    [6] = {{"accept", FIELD_ACCEPT},
           {"cookie", FIELD_COOKIE},
           {"expect", FIELD_EXPECT},
           {"server", FIELD_SERVER}},
    [7] = {{"trailer", FIELD_TRAILER}, {"upgrade", FIELD_UPGRADE}},
    [9] = {{"forwarded", FIELD_FORWARDED}, {"x-real-ip", FIELD_X_REAL_IP}},
    [10] = {{"connection", FIELD_CONNECTION},
            {"keep-alive", FIELD_KEEP_ALIVE},
            {"set-cookie", FIELD_SET_COOKIE},
            {"user-agent", FIELD_USER_AGENT}},
    [12] = {{"x-request-id", FIELD_X_REQUEST_ID}},
    [14] = {{"content-length", FIELD_CONTENT_LENGTH}, {"http2-settings", FIELD_HTTP2_SETTINGS}},
    [15] = {{"x-forwarded-for", FIELD_X_FORWARDED_FOR}},
    [16] = {{"proxy-connection", FIELD_PROXY_CONNECTION},
            {"x-forwarded-host", FIELD_X_FORWARDED_HOST},
            {"x-forwarded-port", FIELD_X_FORWARDED_PORT}},
    [17] = {{"transfer-encoding", FIELD_TRANSFER_ENCODING},
            {"x-forwarded-proto", FIELD_X_FORWARDED_PROTO}},
    [18] = {{"proxy-authenticate", FIELD_PROXY_AUTHENTICATE}},
    [19] = {{"proxy-authorization", FIELD_PROXY_AUTHORIZATION}},
};

/* A name that begins with "x-client-cert-", without case; "_" is as good as "-". */
static bool names_client_cert(struct slice name)
{
    static const char prefix[] = "x-client-cert-";
    size_t length = sizeof(prefix) - 1;

    if (name.len < length)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name.at[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != prefix[i] && !(c == '_' && prefix[i] == '-'))
            return false;
    }
    return true;
}

enum field_id field_id_from(struct slice name)
{
    static const struct slice forwarded = {"x-forwarded-", 12};

    if (name.len <= KNOWN_FIELD_LONGEST) {
        const struct known_field *known = known_fields[name.len];

        for (int i = 0; i < KNOWN_FIELDS_PER_LENGTH && known[i].name; i++)
            if (slice_equal_nocase(name, slice_make(known[i].name, name.len)))
                return known[i].id;
    }
    if (name.len >= forwarded.len &&
        slice_equal_nocase(slice_make(name.at, forwarded.len), forwarded))
        return FIELD_X_FORWARDED_OTHER;
    return names_client_cert(name) ? FIELD_X_CLIENT_CERT : FIELD_OTHER;
}

enum field_id field_id_with_underscores(struct slice name)
{
    char dashed[64]; /* longer than any name that is known as a whole */
    size_t length = name.len < sizeof(dashed) ? name.len : sizeof(dashed);

    for (size_t i = 0; i < length; i++)
        dashed[i] = name.at[i] == '_' ? '-' : name.at[i];
    return field_id_from(slice_make(dashed, length)) == FIELD_OTHER ? FIELD_OTHER : FIELD_LOOKALIKE;
}

/* --- fields --------------------------------------------------------------------------------- */

static void grow_fields(struct http_fields *fields, struct arena *arena)
{
    uint32_t capacity = fields->capacity ? fields->capacity * 2 : 16;
    struct http_field *list = arena_alloc(arena, capacity * sizeof(*list));

    if (fields->count > 0)
        memcpy(list, fields->list, fields->count * sizeof(*list));
    fields->list = list;
    fields->capacity = capacity;
}

void http_fields_add_id(struct http_fields *fields, struct arena *arena, enum field_id id,
                        struct slice name, struct slice value)
{
    if (fields->count == fields->capacity)
        grow_fields(fields, arena);
    fields->list[fields->count++] = (struct http_field){.name = name, .value = value, .id = id};
}

void http_fields_add(struct http_fields *fields, struct arena *arena, struct slice name,
                     struct slice value)
{
    http_fields_add_id(fields, arena, field_id_from(name), name, value);
}

const struct http_field *http_fields_get(const struct http_fields *fields, enum field_id id)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id == id)
            return &fields->list[i];
    return NULL;
}

const struct http_field *http_fields_find(const struct http_fields *fields, struct slice name)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, name))
            return &fields->list[i];
    return NULL;
}

bool http_fields_have_token(const struct http_fields *fields, enum field_id id, struct slice token)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice rest = fields->list[i].value, element;

        if (fields->list[i].id != id)
            continue;
        while (slice_next_in_list(&rest, &element))
            if (slice_equal_nocase(element, token))
                return true;
    }
    return false;
}

/* What Connection may not take away: the gateway routes, frames and reports by these. */
static bool is_beyond_connection(enum field_id id)
{
    switch (id) {
    case FIELD_HOST:
    case FIELD_EXPECT:
    case FIELD_DATE:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_OTHER:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP:
    case FIELD_X_REQUEST_ID: return true;
    default: return false;
    }
}

bool field_id_is_hop_by_hop(enum field_id id)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_HTTP2_SETTINGS:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE: return true;
    default: return false;
    }
}

/* Drops the fields that one Connection field names by turning their id into a hop-by-hop one. */
static void mark_named(struct http_fields *fields, struct slice names)
{
    struct slice name;

    while (slice_next_in_list(&names, &name)) {
        for (uint32_t i = 0; i < fields->count; i++) {
            struct http_field *field = &fields->list[i];

            if (field->id != FIELD_CONNECTION && !is_beyond_connection(field->id) &&
                slice_equal_nocase(field->name, name))
                field->id = FIELD_KEEP_ALIVE;
        }
    }
}

void http_fields_drop_hop_by_hop(struct http_fields *fields)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id == FIELD_CONNECTION)
            mark_named(fields, fields->list[i].value);
    for (uint32_t i = 0; i < fields->count; i++)
        if (!field_id_is_hop_by_hop(fields->list[i].id))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

/* --- status codes and verdicts -------------------------------------------------------------- */

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *http_status_phrase(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

static const struct {
    int status;
    const char *word;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {0, ""},
    [REASON_BAD_REQUEST] = {400, "bad_request"},
    [REASON_NO_ROUTE] = {404, "no_route"},
    [REASON_METHOD_REFUSED] = {405, "method_refused"},
    [REASON_HEADER_TIMEOUT] = {408, "header_timeout"},
    [REASON_BODY_TIMEOUT] = {408, "body_timeout"},
    [REASON_BODY_TOO_LARGE] = {413, "body_too_large"},
    [REASON_URI_TOO_LONG] = {414, "uri_too_long"},
    [REASON_MISDIRECTED] = {421, "misdirected"},
    [REASON_HEADER_TOO_LARGE] = {431, "header_too_large"},
    [REASON_BACKEND_CONNECT] = {502, "backend_connect"},
    [REASON_BACKEND_RESET] = {502, "backend_reset"},
    [REASON_BACKEND_BAD_RESPONSE] = {502, "backend_bad_response"},
    [REASON_NO_BACKEND] = {503, "no_backend"},
    [REASON_DRAINING] = {503, "draining"},
    [REASON_OVER_LIMIT] = {503, "over_limit"},
    [REASON_BACKEND_CONNECT_TIMEOUT] = {504, "backend_connect_timeout"},
    [REASON_BACKEND_TIMEOUT] = {504, "backend_timeout"},
    [REASON_BACKEND_IDLE] = {504, "backend_idle"},
    [REASON_CLIENT_CLOSED] = {499, "client_closed"},
    [REASON_TUNNEL_IDLE] = {0, "tunnel_idle"},
    [REASON_UNAUTHORIZED] = {401, "unauthorized"},
    [REASON_AUTH_UNAVAILABLE] = {503, "auth_unavailable"},
    [REASON_DENIED] = {403, "denied"},
    [REASON_RATE_LIMITED] = {429, "rate_limited"},
    [REASON_NOT_CACHED] = {504, "not_cached"},
};

int http_reason_status(enum http_reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].status;
}

const char *http_reason_word(enum http_reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].word;
}
