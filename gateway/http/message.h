/* HTTP semantics as values: methods, field names, heads (RFC 9110), whatever version carried them.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "base/arena.h"
#include "base/slice.h"

/* The nine registered methods that metrics know, and the rest. */
enum http_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_OTHER,
};

enum http_method http_method_from(struct slice text);
bool http_is_token(struct slice text); /* RFC 9110 section 5.6.2: methods, field names; not empty */
bool http_is_field_value(struct slice text);             /* no controls but HTAB; obs-text passes */
bool http_method_is_idempotent(enum http_method method); /* RFC 9110 section 9.2.2 */

/* Field names the gateway itself acts on, recognised once at parse. */
enum field_id {
    FIELD_OTHER,
    FIELD_ACCEPT,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_HTTP2_SETTINGS,
    FIELD_KEEP_ALIVE,
    FIELD_LOOKALIKE, /* one of the others, were its "_" a "-" */
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_SERVER,
    FIELD_SET_COOKIE,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_USER_AGENT,
    FIELD_VIA,
    FIELD_X_CLIENT_CERT, /* X-Client-Cert-*, with "_" for "-" too, as some backends read it */
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_OTHER, /* any other X-Forwarded-* */
    FIELD_X_FORWARDED_PORT,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_REAL_IP,
    FIELD_X_REQUEST_ID,
};

enum field_id field_id_from(struct slice name); /* any case */
/* For a name that has underscores. Backends of the CGI kind take "_" for "-": what they would read
 * as a field that the gateway acts on is FIELD_LOOKALIKE, which never reaches them. */
enum field_id field_id_with_underscores(struct slice name);

struct http_field {
    struct slice name, value; /* as received; names compare without case */
    enum field_id id;
};

struct http_fields {
    struct http_field *list;
    uint32_t count, capacity;
};

void http_fields_add(struct http_fields *fields, struct arena *arena, struct slice name,
                     struct slice value);
void http_fields_add_id(struct http_fields *fields, struct arena *arena, enum field_id id,
                        struct slice name, struct slice value);
/* Of the connection, not of the message (RFC 9110 section 7.6.1), or framing it: Connection,
 * Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade, HTTP2-Settings,
 * Content-Length. */
bool field_id_is_hop_by_hop(enum field_id id);
/* The first with that id, or NULL. */
const struct http_field *http_fields_get(const struct http_fields *fields, enum field_id id);
const struct http_field *http_fields_find(const struct http_fields *fields, struct slice name);
/* Whether the comma-separated values of all fields with `id` hold `token`, without case. */
bool http_fields_have_token(const struct http_fields *fields, enum field_id id, struct slice token);

/* Drops hop-by-hop fields in place, and those that Connection names.
 * Proxy-Authenticate/-Authorization stay (they are end to end for a gateway's backend).
 * Content-Length is dropped too: the codec writes the one framing there is. Fields named by
 * Connection that routing or framing rely on (Host, Content-Length …) are never dropped through it.
 */
void http_fields_drop_hop_by_hop(struct http_fields *fields);

/* How long the body is and how it ends (RFC 9112 section 6). */
enum body_framing {
    BODY_NONE,
    BODY_LENGTH,  /* content_length says */
    BODY_CHUNKED, /* until the last chunk; trailers may follow */
    BODY_CLOSE,   /* until the connection ends: responses, and both ways in a tunnel */
};

struct http_head {
    /* request */
    enum http_method method;
    struct slice method_text;
    struct slice target;    /* as sent */
    struct slice authority; /* as sent: of an absolute-form target, else Host; empty without */
    struct slice host;      /* lower-case, without port, trailing dot or brackets; empty without */
    uint16_t host_port;     /* 0 when none was sent */
    struct slice path;      /* normalised: starts with "/", or is "*" for OPTIONS */
    struct slice query;     /* with its "?", as sent; empty without */
    bool expects_continue;  /* Expect: 100-continue from an HTTP/1.1 client */

    /* response */
    int status;
    struct slice reason_phrase;

    /* both */
    int version_minor; /* HTTP/1.x; 1 for later versions */
    struct http_fields fields;
    enum body_framing framing;
    uint64_t content_length; /* BODY_LENGTH; for a response to HEAD or a 304 the length announced */
    bool has_content_length;
    bool keeps_connection; /* read: the sender would go on using the connection. Written to a
                              client: false makes this the connection's last response */
    struct slice upgrade;  /* Upgrade's value if Connection names it, else empty; h2c never */
    bool needs_upgrade;    /* a request that means nothing without (RFC 8441): no 2xx but 101 */
};

/* The short standard phrase, "" for unknown codes. */
const char *http_status_phrase(int status);

/* The gateway's own verdicts: a status and a stable reason word. */
enum http_reason {
    REASON_NONE,
    REASON_BAD_REQUEST,
    REASON_NO_ROUTE,
    REASON_METHOD_REFUSED,
    REASON_HEADER_TIMEOUT,
    REASON_BODY_TIMEOUT,
    REASON_BODY_TOO_LARGE,
    REASON_URI_TOO_LONG,
    REASON_MISDIRECTED,
    REASON_HEADER_TOO_LARGE,
    REASON_BACKEND_CONNECT,
    REASON_BACKEND_RESET,
    REASON_BACKEND_BAD_RESPONSE,
    REASON_NO_BACKEND,
    REASON_DRAINING,
    REASON_OVER_LIMIT,
    REASON_BACKEND_CONNECT_TIMEOUT,
    REASON_BACKEND_TIMEOUT,
    REASON_BACKEND_IDLE,
    REASON_CLIENT_CLOSED,
    REASON_TUNNEL_IDLE,
    REASON_UNAUTHORIZED,
    REASON_AUTH_UNAVAILABLE, /* whoever would know cannot be asked */
    REASON_DENIED,
    REASON_RATE_LIMITED,
    REASON_NOT_CACHED, /* Cache-Control: only-if-cached (RFC 9111 section 5.2.1.7) */
    REASON_COUNT
};

int http_reason_status(enum http_reason reason);
const char *http_reason_word(enum http_reason reason);

#endif
