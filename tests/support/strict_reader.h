/* A second reader of HTTP/1.1, strict and simple, that shares nothing with gateway/http: what a
 * backend, or a client, makes of the bytes that it got from the gateway. For unit, end-to-end and
 * fuzz tests, so it stands on the C library alone.
 *
 * It knows one form of everything: CRLF, single spaces, "name: value" without further blanks, names
 * that are tokens, no controls, no folding, one Host, one Content-Length without leading zeros or
 * one "Transfer-Encoding: chunked", chunk sizes without leading zeros and extensions, trailers that
 * say nothing of framing or routing. */
#ifndef TESTS_SUPPORT_STRICT_READER_H
#define TESTS_SUPPORT_STRICT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes of what was read. */
struct strict_text {
    const char *at;
    size_t len;
};

enum { STRICT_FIELDS_MAX = 256 };

struct strict_fields {
    struct {
        struct strict_text name, value;
    } list[STRICT_FIELDS_MAX];
    unsigned count;
};

enum strict_framing { STRICT_NO_BODY, STRICT_LENGTH, STRICT_CHUNKED, STRICT_CLOSE };

enum strict_verdict {
    STRICT_WHOLE, /* exactly one message, message->used bytes long; what follows is not looked at */
    STRICT_CUT,   /* so far right, but it ends early */
    STRICT_WRONG, /* refused */
};

struct strict_message {
    const char *why; /* not NULL when CUT or WRONG: a few words */
    size_t used;     /* WHOLE: bytes of the message, 1xx responses in front of it included */
    bool has_head;   /* the head was read whole: all down to `length` is set */

    struct strict_text method, target; /* of a request; the target is a path, or "*" */
    int status;                        /* of a response; the final one, or 101 */
    struct strict_text phrase;
    unsigned interims; /* 1xx responses in front of it */
    int version_minor; /* HTTP/1.x */
    struct strict_fields fields;
    enum strict_framing framing;
    uint64_t length; /* STRICT_LENGTH; also what a response without a body announces */

    char *body; /* decoded, as much as there is; owned, never NULL once has_head */
    size_t body_len;
    struct strict_fields trailers;
};

/* Reads the request at the front of `bytes`. The message's texts lie in `bytes`; clear it whatever
 * the verdict is. */
enum strict_verdict strict_read_request(struct strict_text bytes, struct strict_message *message);
/* Reads the response to a request of `method` at the front of `bytes`. `has_ended`: the connection
 * was closed in order behind them, which ends a body without a length; behind a 101 all is body. */
enum strict_verdict strict_read_response(struct strict_text bytes, const char *method,
                                         bool has_ended, struct strict_message *message);
void strict_message_clear(struct strict_message *message);

struct strict_text strict_text_make(const char *at, size_t len);
struct strict_text strict_text_of(const char *text);
bool strict_text_equal(struct strict_text a, struct strict_text b);

/* How many fields have that name, in any case; *value is that of the first. */
unsigned strict_fields_find(const struct strict_fields *fields, const char *name,
                            struct strict_text *value);

#endif
