/* What a request's field section in HTTP/2 means (RFC 9113 section 8): the same head that HTTP/1
 * would have had. No I/O. */
#ifndef HTTP_H2_SEMANTICS_H
#define HTTP_H2_SEMANTICS_H

#include "http/message.h"

enum h2_verdict {
    H2_UNDERSTOOD,
    H2_MALFORMED, /* RFC 9113 section 8.1.1: a stream error, PROTOCOL_ERROR */
    H2_REFUSED,   /* well formed, but not to be forwarded: 400 */
};

/* Takes a head whose fields are as they came, pseudo-header fields in front, with the ids that
 * http_fields_add gave them, and in which nothing else is set; `ends`: no body follows. Fills in
 * the rest and leaves the regular fields, in their order, Cookie joined to one (section 8.2.3).
 * What is understood reads as exactly one request once it is written in HTTP/1.1: every name and
 * value is held to the rules of http/h1_parser.h, whatever nghttp2 let pass. `underscores`: allowed
 * in names. *detail says what is wrong, for the debug log.
 *
 * Framing is HTTP/1's: BODY_LENGTH where Content-Length says more than 0, BODY_CHUNKED where a body
 * of unknown length follows; else BODY_NONE, even if the end of the stream, which is all that may
 * follow `Content-Length: 0`, is still to come. A request that ends with its head and whose method
 * has a body by its nature (POST, PUT, PATCH) says `Content-Length: 0`, as it would have there.
 *
 * :scheme may be http or https, whatever the connection is: nothing is made of it (what backends
 * are told, and what is routed by, is how the request came), and clients behind proxies that
 * terminate TLS name the one that they know.
 *
 * Extended CONNECT (RFC 8441) becomes a GET with head->upgrade, needs_upgrade set, and a
 * Sec-WebSocket-Key of ours where the protocol is websocket; other CONNECTs stay what they are.
 *
 * Of `arena` it needs at most as many bytes as the fields have, and 2 KiB; the list of fields does
 * not grow. */
enum h2_verdict h2_understand_request(struct http_head *head, struct arena *arena, bool ends,
                                      bool underscores, const char **detail);

/* A trailer section (RFC 9113 section 8.1): the same rules for names and values, no pseudo-header
 * fields. False: malformed. Then drops what http_drop_forbidden_trailers does. */
bool h2_understand_trailers(struct http_fields *trailers, bool underscores, const char **detail);

#endif
