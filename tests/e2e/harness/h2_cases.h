/* Rows of what an HTTP/2 client may send, and what must come of it by RFC 9113 and its like. */
#ifndef E2E_H2_CASES_H
#define E2E_H2_CASES_H

#include "h2_frames.h"
#include "origin.h"

/* A gateway with a backend for a.test; its paths beside origin_tell's: */
enum { H2_WORLD_CLIENTS = 64 };

struct h2_world {
    struct gateway *gateway;
    struct origin *origin;
    SSL_CTX *context; /* of all clients; NULL before the first */
    struct h2_client *clients[H2_WORLD_CLIENTS];
    unsigned client_count;
    int looked_at; /* of the backend's requests */
};
#define H2_ECHO    "/echo"    /* the body, as it came, and its trailers */
#define H2_PATTERN "/pattern" /* H2_PATTERN_BYTES of the pattern */
#define H2_HANG    "/hang"    /* reads its body, answers nothing */
#define H2_DEAF    "/deaf"    /* does neither until the test ends */
enum { H2_PATTERN_BYTES = 1 << 20 };

struct h2_world *h2_world_start(void);
/* Closes its clients, and requires that the gateway ends well. */
void h2_world_stop(struct h2_world *world);
/* A client that shares what is dear with the others; it lives until the test ends. */
struct h2_client *h2_world_client(struct h2_world *world, const struct h2_options *options);

enum h2_outcome {
    H2_IS_SERVED,           /* a whole 200 on the stream, if it was opened; the connection lives */
    H2_IS_IGNORED,          /* no reset; the connection lives */
    H2_IS_ANSWERED,         /* a whole response of that status; the connection lives */
    H2_IS_STREAM_ERROR,     /* the connection lives */
    H2_IS_CONNECTION_ERROR, /* GOAWAY, and the end */
    H2_IS_EITHER_ERROR,     /* where the RFC leaves it open, or an escalation is allowed (5.4) */
    H2_IS_IGNORED_OR_ERROR, /* where it leaves even that open */
};

enum { H2_CASE_FRAMES = 6 };

struct h2_case {
    const char *name; /* "5.1: DATA on an idle stream" */
    /* What is sent behind preface and SETTINGS: a request of these fields (pairs) with END_STREAM,
     * or of these with more to come; then these frames, to the first of type DATA on stream 0
     * without a payload; then whatever `play` sends. */
    const char *const *request;
    const char *const *request_head;
    struct h2_frame frames[H2_CASE_FRAMES];
    void (*play)(struct h2_client *client);
    enum h2_outcome outcome;
    unsigned codes;         /* H2_CODE(...), of an error */
    int status;             /* of an answer */
    uint32_t stream;        /* that it is about; 0: 1 */
    bool may_reach_backend; /* of what is refused */
    bool is_at_once;        /* not byte by byte: what comes first may be answered already */
};

/* Plays each row on a connection of its own, in one go and byte by byte. Of what is refused nothing
 * may reach the backend. */
void h2_play_cases(struct h2_world *world, const struct h2_case *cases, size_t count);
#define h2_play(world, cases) h2_play_cases(world, cases, sizeof(cases) / sizeof *(cases))

/* Frames for rows. The blocks are of a GET of https://a.test/, and of a POST to its H2_ECHO, which
 * is not answered before it is whole. */
#define H2_GET_BLOCK       \
    "\x82\x87\x84\x01\x06" \
    "a.test"
#define H2_POST_BLOCK      \
    "\x83\x87\x84\x01\x06" \
    "a.test"
#define H2_FRAME(of_type, with_flags, on_stream, bytes)                                      \
    {                                                                                        \
        .type = (of_type), .flags = (with_flags), .stream = (on_stream), .payload = (bytes), \
        .length = sizeof(bytes) - 1                                                          \
    }
#define H2_GET_FRAME(on_stream) \
    H2_FRAME(H2_HEADERS, H2_END_STREAM | H2_END_HEADERS, on_stream, H2_GET_BLOCK)
/* One whose body is still to come. */
#define H2_POST_FRAME(on_stream) H2_FRAME(H2_HEADERS, H2_END_HEADERS, on_stream, H2_POST_BLOCK)
/* Pseudo-header fields of a request to a.test, and more. */
#define H2_ASKING(method, path, ...)                                                  \
    H2_FIELDS(":method", method, ":scheme", "https", ":authority", "a.test", ":path", \
              path __VA_OPT__(, ) __VA_ARGS__)

#endif
