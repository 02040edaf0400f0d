#include "config/explain_question.h"

/* --- from words to a request --------------------------------------------------------------------
 */

static bool read_url(const struct explain_question *question, struct arena *arena,
                     struct followed_request *request, struct error *error)
{
    struct slice url = slice_of(question->url ? question->url : "");
    ptrdiff_t fragment = slice_find(url, '#');
    const char *path;

    if (fragment >= 0)
        url.len = (size_t)fragment; /* no client sends it */
    request->method = slice_of(question->method ? question->method : "GET");
    if (!http_is_token(request->method)) {
        error_set(error, "\"%s\" is no method", question->method);
        return false;
    }
    if (!follow_read_url(arena, url, request, error))
        return false;
    /* RFC 9112 section 3.2.4: without a path, OPTIONS is about the server as a whole. */
    path = request->authority.at + request->authority.len;
    if (http_method_from(request->method) == METHOD_OPTIONS && path == url.at + url.len)
        request->target = slice_of("*");
    return true;
}

static bool use_header(struct followed_request *request, const struct http_field *field,
                       bool *has_host, struct error *error)
{
    if (field->id == FIELD_CONTENT_LENGTH && !slice_parse_u64(field->value, &request->body_bytes)) {
        error_set(error, "Content-Length is a number, not \"%.*s\"", (int)field->value.len,
                  field->value.at);
        return false;
    }
    if (field->id != FIELD_HOST)
        return true;
    if (*has_host || field->value.len == 0) {
        error_set(error, *has_host ? "Host is there twice: a request with that is refused (400)"
                                   : "Host is empty: a request with that is refused (400)");
        return false;
    }
    *has_host = true;
    request->authority = field->value;
    return true;
}

static bool read_headers(const struct explain_question *question, struct arena *arena,
                         struct followed_request *request, struct error *error)
{
    bool has_host = false;

    for (unsigned i = 0; i < question->header_count; i++) {
        struct slice text = slice_of(question->headers[i]);
        ptrdiff_t colon = slice_find(text, ':');
        struct slice name = slice_make(text.at, colon < 0 ? 0 : (size_t)colon);
        struct slice value = slice_trim(slice_skip(text, (size_t)(colon + 1)));

        if (!http_is_token(name) || !http_is_field_value(value)) {
            error_set(error, "a header is written 'Name: value', not \"%s\"", text.at);
            return false;
        }
        http_fields_add(&request->fields, arena, name, value);
        request->has_underscores |= slice_find(name, '_') >= 0;
        if (!use_header(request, &request->fields.list[i], &has_host, error))
            return false;
    }
    return true;
}

static bool read_client(const struct explain_question *question, struct followed_request *request,
                        struct error *error)
{
    if (question->sni && question->has_no_sni) {
        error_set(error, "an SNI and none at all cannot both be sent");
        return false;
    }
    if ((question->sni || question->has_no_sni) && !request->is_tls) {
        error_set(error, "there is no SNI without TLS: the URL begins with http://");
        return false;
    }
    if (question->sni || question->has_no_sni)
        request->sni = slice_of(question->sni ? question->sni : "");
    if (question->ip && !address_parse_ip(slice_of(question->ip), 0, &request->peer)) {
        error_set(error, "\"%s\" is no IP address", question->ip);
        return false;
    }
    return true;
}

bool explain_question_read(const struct explain_question *question, struct arena *arena,
                           struct followed_request *request, struct error *error)
{
    *request = (struct followed_request){.is_tls = false};
    return read_url(question, arena, request, error) &&
           read_headers(question, arena, request, error) && read_client(question, request, error);
}

/* --- queries ------------------------------------------------------------------------------------
 */

static void print_parameter(struct buffer *query, const char *name, const char *value)
{
    buffer_printf(query, "%s%s=", buffer_length(query) == 0 ? "?" : "&", name);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (c <= ' ' || c >= 0x7f || strchr("&%+#", c))
            buffer_printf(query, "%%%02x", c);
        else
            buffer_append(query, slice_make(value, 1));
    }
}

void explain_question_print(const struct explain_question *question, struct buffer *query)
{
    print_parameter(query, "url", question->url);
    if (question->method)
        print_parameter(query, "method", question->method);
    if (question->sni)
        print_parameter(query, "sni", question->sni);
    if (question->has_no_sni)
        print_parameter(query, "no_sni", "");
    if (question->ip)
        print_parameter(query, "ip", question->ip);
    for (unsigned i = 0; i < question->header_count; i++)
        print_parameter(query, "header", question->headers[i]);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: a bad escape, or a zero byte. */
static char *decode(struct arena *arena, struct slice value)
{
    char *text = arena_text(arena, value), *to = text;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '%') {
            int high = i + 2 < value.len ? hex_value(value.at[i + 1]) : -1;
            int low = i + 2 < value.len ? hex_value(value.at[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        *to++ = c == '+' && value.at[i] == '+' ? ' ' : c;
    }
    *to = '\0';
    return text;
}

/* Where the value of that parameter goes; NULL: there is no such parameter, or no more of them. */
static const char **place_of(struct explain_question *question, struct slice name)
{
    if (slice_equal(name, slice_of("url")))
        return &question->url;
    if (slice_equal(name, slice_of("method")))
        return &question->method;
    if (slice_equal(name, slice_of("sni")))
        return &question->sni;
    if (slice_equal(name, slice_of("ip")))
        return &question->ip;
    if (slice_equal(name, slice_of("header")) && question->header_count < EXPLAIN_HEADERS_MAX)
        return &question->headers[question->header_count++];
    return NULL;
}

static bool parse_parameter(struct slice parameter, struct arena *arena,
                            struct explain_question *question, struct error *error)
{
    ptrdiff_t equals = slice_find(parameter, '=');
    struct slice name = slice_make(parameter.at, equals < 0 ? parameter.len : (size_t)equals);
    struct slice value = slice_skip(parameter, equals < 0 ? name.len : name.len + 1);
    const char **place;

    if (slice_equal(name, slice_of("no_sni")) && value.len == 0) {
        question->has_no_sni = true;
        return true;
    }
    place = place_of(question, name);
    if (!place) {
        error_set(error, "%.*s: url, method, sni, no_sni, ip and %d times header can be said",
                  (int)name.len, name.at, EXPLAIN_HEADERS_MAX);
        return false;
    }
    if (*place) {
        error_set(error, "%.*s is there twice", (int)name.len, name.at);
        return false;
    }
    *place = decode(arena, value);
    if (!*place)
        error_set(error, "%.*s has a bad escape", (int)name.len, name.at);
    return *place != NULL;
}

bool explain_question_parse(struct slice query, struct arena *arena,
                            struct explain_question *question, struct error *error)
{
    struct slice rest = query.len > 0 ? slice_skip(query, 1) : query;

    *question = (struct explain_question){.url = NULL};
    while (rest.len > 0) {
        ptrdiff_t end = slice_find(rest, '&');
        struct slice parameter = slice_make(rest.at, end < 0 ? rest.len : (size_t)end);
        if (!parse_parameter(parameter, arena, question, error))
            return false;
        rest = slice_skip(rest, end < 0 ? rest.len : (size_t)end + 1);
    }
    if (!question->url)
        error_set(error, "url is missing: /explain?url=https://example.com/");
    return question->url != NULL;
}
