#include "config/explain_question.h"

#include "base/query.h"

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

void explain_question_print(const struct explain_question *question, struct buffer *query)
{
    query_append(query, "url", question->url);
    if (question->method)
        query_append(query, "method", question->method);
    if (question->sni)
        query_append(query, "sni", question->sni);
    if (question->has_no_sni)
        query_append(query, "no_sni", "");
    if (question->ip)
        query_append(query, "ip", question->ip);
    for (unsigned i = 0; i < question->header_count; i++)
        query_append(query, "header", question->headers[i]);
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

static bool take_parameter(const struct query_parameter *parameter, struct arena *arena,
                           struct explain_question *question, struct error *error)
{
    struct slice name = parameter->name;
    const char **place;

    if (slice_equal(name, slice_of("no_sni")) && parameter->value.len == 0) {
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
    *place = query_decode(arena, parameter->value);
    if (!*place)
        error_set(error, "%.*s has a bad escape", (int)name.len, name.at);
    return *place != NULL;
}

bool explain_question_parse(struct slice query, struct arena *arena,
                            struct explain_question *question, struct error *error)
{
    struct slice rest = query.len > 0 ? slice_skip(query, 1) : query;
    struct query_parameter parameter;

    *question = (struct explain_question){.url = NULL};
    while (query_next(&rest, &parameter))
        if (!take_parameter(&parameter, arena, question, error))
            return false;
    if (!question->url)
        error_set(error, "url is missing: /explain?url=https://example.com/");
    return question->url != NULL;
}
