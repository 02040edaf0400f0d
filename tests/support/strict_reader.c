#include "support/strict_reader.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct strict_text strict_text_make(const char *at, size_t len)
{
    return (struct strict_text){.at = at, .len = len};
}

struct strict_text strict_text_of(const char *text)
{
    return strict_text_make(text, strlen(text));
}

bool strict_text_equal(struct strict_text a, struct strict_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool is_name(struct strict_text text, const char *name)
{
    return text.len == strlen(name) && strncasecmp(text.at, name, text.len) == 0;
}

unsigned strict_fields_find(const struct strict_fields *fields, const char *name,
                            struct strict_text *value)
{
    unsigned found = 0;

    for (unsigned i = 0; i < fields->count; i++)
        if (is_name(fields->list[i].name, name) && found++ == 0)
            *value = fields->list[i].value;
    return found;
}

/* --- characters ----------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_token(struct strict_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.at[i]) && !is_one_of(text.at[i], "!#$%&'*+-.^_`|~"))
            return false;
    return text.len > 0;
}

/* Printable ASCII without a blank (RFC 9112 section 3.2). */
static bool is_visible(struct strict_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return text.len > 0;
}

/* "0", or digits without a zero in front; below 2^64. */
static bool read_number(struct strict_text text, unsigned base, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";

    *value = 0;
    if (text.len == 0 || (text.len > 1 && text.at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        const char *digit = c != '\0' ? strchr(digits, c) : NULL;
        if (digit == NULL || (unsigned)(digit - digits) >= base)
            return false;
        if (*value > (UINT64_MAX - (uint64_t)(digit - digits)) / base)
            return false;
        *value = *value * base + (uint64_t)(digit - digits);
    }
    return true;
}

/* --- verdicts and lines --------------------------------------------------------------------- */

struct reader {
    struct strict_text rest;
    struct strict_message *message;
};

static enum strict_verdict verdict(struct reader *r, enum strict_verdict verdict, const char *why)
{
    r->message->why = why;
    return verdict;
}

static struct strict_text take(struct reader *r, size_t len)
{
    struct strict_text taken = strict_text_make(r->rest.at, len);

    r->rest = strict_text_make(r->rest.at + len, r->rest.len - len);
    return taken;
}

/* Up to CRLF, which is taken too; no other control but HTAB. */
static enum strict_verdict read_line(struct reader *r, struct strict_text *line)
{
    for (size_t i = 0; i < r->rest.len; i++) {
        char c = r->rest.at[i];

        if (c == '\r' && i + 1 == r->rest.len)
            break;
        if (c == '\r' && r->rest.at[i + 1] == '\n') {
            *line = take(r, i);
            take(r, 2);
            return STRICT_WHOLE;
        }
        if (c == '\r')
            return verdict(r, STRICT_WRONG, "a bare CR");
        if (c == '\n')
            return verdict(r, STRICT_WRONG, "a bare LF");
        if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
            return verdict(r, STRICT_WRONG, "a control character");
    }
    return verdict(r, STRICT_CUT, "it ends within a line");
}

/* What is in front of the first blank, which is dropped. */
static bool split(struct strict_text *line, struct strict_text *word)
{
    const char *blank = line->len > 0 ? memchr(line->at, ' ', line->len) : NULL;

    if (blank == NULL)
        return false;
    *word = strict_text_make(line->at, (size_t)(blank - line->at));
    *line = strict_text_make(blank + 1, line->len - word->len - 1);
    return true;
}

/* --- fields --------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Fields up to the empty line. */
static enum strict_verdict read_fields(struct reader *r, struct strict_fields *fields)
{
    struct strict_text line, name, value;

    for (fields->count = 0;; fields->count++) {
        enum strict_verdict read = read_line(r, &line);
        if (read != STRICT_WHOLE || line.len == 0)
            return read;
        const char *colon = memchr(line.at, ':', line.len);
        if (colon == NULL)
            return verdict(r, STRICT_WRONG, "a field without a colon");
        name = strict_text_make(line.at, (size_t)(colon - line.at));
        value = strict_text_make(colon + 1, line.len - name.len - 1);
        if (!is_token(name))
            return verdict(r, STRICT_WRONG, "a field name that is no token");
        if (value.len == 0 || value.at[0] != ' ')
            return verdict(r, STRICT_WRONG, "no single space behind a colon");
        value = strict_text_make(value.at + 1, value.len - 1);
        if (value.len > 0 && (is_blank(value.at[0]) || is_blank(value.at[value.len - 1])))
            return verdict(r, STRICT_WRONG, "blanks around a value");
        if (fields->count == STRICT_FIELDS_MAX)
            return verdict(r, STRICT_WRONG, "too many fields");
        fields->list[fields->count].name = name;
        fields->list[fields->count].value = value;
    }
}

/* RFC 9112 section 6: Content-Length or Transfer-Encoding, once. */
static enum strict_verdict read_framing(struct reader *r)
{
    struct strict_message *message = r->message;
    struct strict_text coding, length;
    unsigned codings = strict_fields_find(&message->fields, "Transfer-Encoding", &coding);
    unsigned lengths = strict_fields_find(&message->fields, "Content-Length", &length);

    message->framing = STRICT_NO_BODY;
    if (codings > 0 && lengths > 0)
        return verdict(r, STRICT_WRONG, "both Transfer-Encoding and Content-Length");
    if (codings > 1 || lengths > 1)
        return verdict(r, STRICT_WRONG, "framing said more than once");
    if (codings > 0) {
        if (message->version_minor == 0)
            return verdict(r, STRICT_WRONG, "Transfer-Encoding in HTTP/1.0");
        if (!strict_text_equal(coding, strict_text_of("chunked")))
            return verdict(r, STRICT_WRONG, "a transfer coding other than \"chunked\"");
        message->framing = STRICT_CHUNKED;
    }
    if (lengths > 0) {
        if (!read_number(length, 10, &message->length))
            return verdict(r, STRICT_WRONG, "a Content-Length that is no plain number");
        message->framing = STRICT_LENGTH;
    }
    return STRICT_WHOLE;
}

/* --- bodies --------------------------------------------------------------------------------- */

/* Takes as much of `len` as there is. */
static enum strict_verdict read_bytes(struct reader *r, uint64_t len)
{
    struct strict_message *message = r->message;
    size_t here = len < r->rest.len ? (size_t)len : r->rest.len;

    if (here > 0)
        memcpy(message->body + message->body_len, take(r, here).at, here);
    message->body_len += here;
    return here == len ? STRICT_WHOLE : verdict(r, STRICT_CUT, "it ends within the body");
}

/* RFC 9110 section 6.5.1: what would say something that only a head may say. */
static bool is_forbidden_trailer(struct strict_text name)
{
    static const char *const names[] = {
        "Connection",   "Content-Encoding", "Content-Length",   "Content-Range",
        "Content-Type", "Authorization",    "Cookie",           "Expect",
        "Host",         "Keep-Alive",       "Proxy-Connection", "Set-Cookie",
        "TE",           "Trailer",          "Upgrade",          "Transfer-Encoding"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_name(name, names[i]))
            return true;
    return false;
}

static enum strict_verdict read_trailers(struct reader *r)
{
    struct strict_fields *trailers = &r->message->trailers;
    enum strict_verdict read = read_fields(r, trailers);

    for (unsigned i = 0; read == STRICT_WHOLE && i < trailers->count; i++)
        if (is_forbidden_trailer(trailers->list[i].name))
            read = verdict(r, STRICT_WRONG, "a trailer field that only a head may hold");
    return read;
}

static enum strict_verdict read_chunks(struct reader *r)
{
    struct strict_text line;
    enum strict_verdict read;
    uint64_t size;

    for (;;) {
        read = read_line(r, &line);
        if (read != STRICT_WHOLE)
            return read;
        if (!read_number(line, 16, &size))
            return verdict(r, STRICT_WRONG, "a chunk size that is no plain hexadecimal number");
        if (size == 0)
            return read_trailers(r);
        read = read_bytes(r, size);
        if (read == STRICT_WHOLE)
            read = read_line(r, &line);
        if (read != STRICT_WHOLE)
            return read;
        if (line.len > 0)
            return verdict(r, STRICT_WRONG, "a chunk longer than its size");
    }
}

static enum strict_verdict read_body(struct reader *r, bool has_ended)
{
    struct strict_message *message = r->message;

    /* Decoded it is never longer than what is left. */
    message->body = malloc(r->rest.len + 1);
    if (message->body == NULL)
        abort();
    message->has_head = true;
    switch (message->framing) {
    case STRICT_NO_BODY: return STRICT_WHOLE;
    case STRICT_LENGTH: return read_bytes(r, message->length);
    case STRICT_CHUNKED: return read_chunks(r);
    case STRICT_CLOSE: break;
    }
    read_bytes(r, r->rest.len);
    return has_ended ? STRICT_WHOLE : verdict(r, STRICT_CUT, "the connection did not end in order");
}

void strict_message_clear(struct strict_message *message)
{
    free(message->body);
    message->body = NULL;
    message->body_len = 0;
}

/* --- requests ------------------------------------------------------------------------------- */

/* A path and perhaps a query, or "*" for OPTIONS: a backend gets no other form. */
static bool is_target(struct strict_text method, struct strict_text target)
{
    if (strict_text_equal(target, strict_text_of("*")))
        return strict_text_equal(method, strict_text_of("OPTIONS"));
    return is_visible(target) && target.at[0] == '/' && !memchr(target.at, '#', target.len);
}

/* A name, an IPv4 address or a bracketed IPv6 one, and perhaps a port. */
static bool is_host(struct strict_text host)
{
    size_t i = 0, begin;

    if (host.len > 0 && host.at[0] == '[') {
        for (i = 1; i < host.len && (is_alnum(host.at[i]) || is_one_of(host.at[i], ":.")); i++)
            continue;
        if (i < 3 || i == host.len || host.at[i++] != ']')
            return false;
    } else {
        while (i < host.len && (is_alnum(host.at[i]) || is_one_of(host.at[i], "-._")))
            i++;
    }
    if (i == 0 || i == host.len)
        return i > 0;
    if (host.at[i++] != ':')
        return false;
    for (begin = i; i < host.len && is_digit(host.at[i]); i++)
        continue;
    return i == host.len && i - begin <= 5;
}

static enum strict_verdict read_request_line(struct reader *r)
{
    struct strict_message *message = r->message;
    struct strict_text line;
    enum strict_verdict read = read_line(r, &line);

    if (read != STRICT_WHOLE)
        return read;
    if (!split(&line, &message->method) || !split(&line, &message->target))
        return verdict(r, STRICT_WRONG, "a request line without its three parts");
    if (!is_token(message->method))
        return verdict(r, STRICT_WRONG, "a method that is no token");
    if (!is_target(message->method, message->target))
        return verdict(r, STRICT_WRONG, "a target that is no path");
    if (strict_text_equal(line, strict_text_of("HTTP/1.1")))
        message->version_minor = 1;
    else if (!strict_text_equal(line, strict_text_of("HTTP/1.0")))
        return verdict(r, STRICT_WRONG, "a version other than HTTP/1.0 and HTTP/1.1");
    return STRICT_WHOLE;
}

enum strict_verdict strict_read_request(struct strict_text bytes, struct strict_message *message)
{
    struct reader reader = {.rest = bytes, .message = message};
    struct strict_text host;
    enum strict_verdict read;

    memset(message, 0, sizeof(*message));
    read = read_request_line(&reader);
    if (read == STRICT_WHOLE)
        read = read_fields(&reader, &message->fields);
    if (read != STRICT_WHOLE)
        return read;
    if (strict_fields_find(&message->fields, "Host", &host) != 1)
        return verdict(&reader, STRICT_WRONG, "not exactly one Host");
    if (!is_host(host))
        return verdict(&reader, STRICT_WRONG, "a Host that names none");
    read = read_framing(&reader);
    if (read == STRICT_WHOLE)
        read = read_body(&reader, false);
    message->used = bytes.len - reader.rest.len;
    return read;
}

/* --- responses ------------------------------------------------------------------------------ */

static enum strict_verdict read_status_line(struct reader *r)
{
    struct strict_message *message = r->message;
    struct strict_text line, version, code;
    enum strict_verdict read = read_line(r, &line);

    if (read != STRICT_WHOLE)
        return read;
    if (!split(&line, &version) || !split(&line, &code))
        return verdict(r, STRICT_WRONG, "a status line without its three parts");
    message->version_minor = 1;
    if (!strict_text_equal(version, strict_text_of("HTTP/1.1")))
        return verdict(r, STRICT_WRONG, "a version other than HTTP/1.1");
    if (code.len != 3 || code.at[0] == '0' || !is_digit(code.at[0]) || !is_digit(code.at[1]) ||
        !is_digit(code.at[2]))
        return verdict(r, STRICT_WRONG, "a status that is none");
    message->status = (code.at[0] - '0') * 100 + (code.at[1] - '0') * 10 + (code.at[2] - '0');
    message->phrase = line;
    return STRICT_WHOLE;
}

/* RFC 9112 section 6.3: what follows the head, besides what its fields say. */
static enum strict_verdict read_response_framing(struct reader *r, const char *method)
{
    struct strict_message *message = r->message;
    enum strict_verdict read = read_framing(r);

    if (read != STRICT_WHOLE)
        return read;
    if ((message->status < 200 || message->status == 204) && message->framing != STRICT_NO_BODY)
        return verdict(r, STRICT_WRONG, "framing where no body may be");
    if (message->status == 101)
        message->framing = STRICT_CLOSE;
    else if (message->status < 200 || message->status == 204 || message->status == 304 ||
             strcmp(method, "HEAD") == 0)
        message->framing = STRICT_NO_BODY;
    else if (message->framing == STRICT_NO_BODY)
        message->framing = STRICT_CLOSE;
    return STRICT_WHOLE;
}

enum strict_verdict strict_read_response(struct strict_text bytes, const char *method,
                                         bool has_ended, struct strict_message *message)
{
    struct reader reader = {.rest = bytes, .message = message};
    enum strict_verdict read;

    memset(message, 0, sizeof(*message));
    for (;; message->interims++) {
        read = read_status_line(&reader);
        if (read == STRICT_WHOLE)
            read = read_fields(&reader, &message->fields);
        if (read == STRICT_WHOLE)
            read = read_response_framing(&reader, method);
        if (read != STRICT_WHOLE)
            return read;
        if (message->status >= 200 || message->status == 101)
            break;
    }
    read = read_body(&reader, has_ended);
    message->used = bytes.len - reader.rest.len;
    return read;
}
