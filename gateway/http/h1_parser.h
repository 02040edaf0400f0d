/* HTTP/1 in: bytes to heads, body pieces and trailers. No I/O.
 *
 * Lines are found and start lines and chunks read here; llhttp takes fields apart (h1_fields.c). It
 * knows registered methods only, and refuses chunk extensions that are well formed.
 *
 * Strict beyond llhttp: whatever can be read two ways is H1_BAD (both Content-Length
 * and Transfer-Encoding, several lengths even if equal, signs, zeros in front, codings other than
 * one final chunked, bare CR or LF, space before the colon, folded lines, NUL and controls, bad
 * names, several Host fields or none in HTTP/1.1, lists in Host, a Host that differs from an
 * absolute-form target ...). obs-text passes as bytes. */
#ifndef HTTP_H1_PARSER_H
#define HTTP_H1_PARSER_H

#include "base/buffer.h"
#include "http/message.h"

enum h1_kind { H1_REQUEST, H1_RESPONSE };
enum h1_result { H1_MORE, H1_DONE, H1_BAD };

struct h1_limits {
    uint32_t head_bytes;   /* whole head, also trailers */
    uint32_t fields;       /* count */
    uint32_t request_line; /* bytes */
    uint32_t requests;     /* on one connection, which ends with the last; 0: any number */
    bool underscores;      /* allowed in a request's field names */
};

enum h1_stage {
    H1_STAGE_HEAD,
    H1_STAGE_LENGTH,     /* body_left says how much body there is still to come */
    H1_STAGE_CHUNK_SIZE, /* the line in front of a chunk */
    H1_STAGE_CHUNK_DATA, /* body_left says how much of the chunk there is still to come */
    H1_STAGE_CHUNK_END,  /* the line end behind it */
    H1_STAGE_TRAILERS,   /* behind the last chunk */
    H1_STAGE_UNTIL_EOF,
    H1_STAGE_ENDED, /* the next head may come */
    H1_STAGE_BAD,
};

/* Embedded; small, since an idle connection keeps it. Private to the parser. */
struct h1_parser {
    const struct h1_limits *limits;
    const char *detail;
    uint64_t body_left;
    /* The lines of a head, of trailers or in front of a chunk, none of which is looked at twice: */
    uint32_t line_start;     /* of the first line that is not complete */
    uint32_t searched;       /* up to here there is no line end behind line_start */
    uint32_t field_lines;    /* complete ones */
    uint32_t empty_lines;    /* skipped in front of a request line */
    uint32_t extension_room; /* bytes of chunk extensions that this body may still have */
    /* The start line, once complete: */
    uint32_t start_bytes; /* with its line end; 0: not complete */
    uint32_t target_bytes;
    uint16_t status;
    uint8_t method_bytes;
    uint8_t version_minor;

    uint8_t kind;       /* enum h1_kind */
    uint8_t stage;      /* enum h1_stage */
    uint8_t asked_with; /* enum http_method */
    uint8_t reason;     /* enum http_reason */
};

void h1_parser_init(struct h1_parser *parser, enum h1_kind kind, const struct h1_limits *limits);

/* Reads a head off the front of `in`. H1_MORE: nothing consumed, call again with more behind the
 * same bytes (which may have moved). H1_DONE: consumed exactly the head; everything in *head lives
 * in `arena`. H1_BAD, which stays: h1_parser_reason says which verdict. Empty lines before a
 * request line are consumed (RFC 9112 section 2.2), a few of them. After the head of a 1xx response
 * but 101 comes the next head. For responses, say first what was asked: */
void h1_parser_expect_response(struct h1_parser *parser, enum http_method asked_with);
enum h1_result h1_parse_head(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct http_head *head);

/* The next piece of body at the front of `in`: H1_MORE: no whole byte of body there. H1_DONE with a
 * piece: consume it by h1_body_consumed before asking again. H1_DONE with an empty piece: the body
 * has ended (trailers, if any, in *trailers; what follows in `in` is the next message). */
enum h1_result h1_parse_body(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct slice *piece, struct http_fields *trailers);
void h1_body_consumed(struct h1_parser *parser, struct buffer *in, size_t bytes);

/* The peer's direction ended (EOF). H1_DONE if that is a proper end of the message (BODY_CLOSE). */
enum h1_result h1_parse_eof(struct h1_parser *parser);

/* From now on every byte is body until EOF: after 101. */
void h1_parser_become_tunnel(struct h1_parser *parser);

/* Drops what h1_parse_head would skip: after it, an empty `in` means that no request has begun. */
void h1_skip_empty_lines(struct h1_parser *parser, struct buffer *in);

/* Any byte of a head seen since the last message ended. */
bool h1_parser_has_begun(const struct h1_parser *parser);

enum http_reason h1_parser_reason(const struct h1_parser *parser);
/* For the debug log: what exactly was wrong. */
const char *h1_parser_detail(const struct h1_parser *parser);

#endif
