/* HTTP/1 in: bytes to heads, body pieces and trailers, around llhttp. No I/O.
 *
 * Strict beyond llhttp: whatever can be read two ways is H1_BAD (field-notes: both Content-Length and
 * Transfer-Encoding, several lengths even if equal, signs, codings other than one final chunked, bare
 * CR or LF, space before the colon, folded lines, NUL and controls, bad names, several Host fields or
 * none in HTTP/1.1, lists in Host, a Host that differs from an absolute-form target ...). obs-text
 * passes as bytes. */
#ifndef HTTP_H1_PARSER_H
#define HTTP_H1_PARSER_H

#include "base/buffer.h"
#include "http/message.h"

#include <llhttp.h>

enum h1_kind { H1_REQUEST, H1_RESPONSE };
enum h1_result { H1_MORE, H1_DONE, H1_BAD };

struct h1_limits {
    uint32_t head_bytes;   /* whole head, also trailers */
    uint32_t fields;       /* count */
    uint32_t request_line; /* bytes */
    bool underscores;      /* allowed in field names */
};

/* Embedded; small, since an idle connection keeps it. */
struct h1_parser;

/* ... the struct's body comes from whoever writes the codec; functions: */

void h1_parser_init(struct h1_parser *parser, enum h1_kind kind, const struct h1_limits *limits);

/* Reads a head off the front of `in`. H1_MORE: nothing consumed, call again with more behind the same
 * bytes (which may have moved). H1_DONE: consumed exactly the head; everything in *head lives in
 * `arena`. H1_BAD: h1_parser_reason says which verdict. Empty lines before a request line are skipped
 * (RFC 9112 section 2.2), bounded. For responses, say first what was asked: */
void h1_parser_expect_response(struct h1_parser *parser, enum http_method asked_with);
enum h1_result h1_parse_head(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct http_head *head);

/* The next piece of body at the front of `in`: H1_MORE: no whole byte of body there. H1_DONE with a
 * piece: consume it by h1_body_consumed before asking again. H1_DONE with an empty piece: the body has
 * ended (trailers, if any, in *trailers; what follows in `in` is the next message). */
enum h1_result h1_parse_body(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct slice *piece, struct http_fields *trailers);
void h1_body_consumed(struct h1_parser *parser, struct buffer *in, size_t bytes);

/* The peer's direction ended (EOF). H1_DONE if that is a proper end of the message (BODY_CLOSE). */
enum h1_result h1_parse_eof(struct h1_parser *parser);

/* From now on every byte is body until EOF: after 101. */
void h1_parser_become_tunnel(struct h1_parser *parser);

/* Any byte of a head seen since the last message ended. */
bool h1_parser_has_begun(const struct h1_parser *parser);

enum http_reason h1_parser_reason(const struct h1_parser *parser);
/* For the debug log: what exactly was wrong. */
const char *h1_parser_detail(const struct h1_parser *parser);

#endif
