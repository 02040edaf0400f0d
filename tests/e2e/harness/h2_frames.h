/* An HTTP/2 client of frames: a test sends what bytes it likes, and everything that the gateway
 * sends is held against RFC 9113 and RFC 7541, by code that shares nothing with the gateway's.
 *
 *     struct h2_client *client = h2_open(gateway, NULL);
 *     uint32_t stream = h2_get(client, "/x");
 *     expect_from(h2_response(client, stream), "one");
 *
 * Reading any frame takes in all that it means: what comes on a stream is collected in its
 * `struct h2_stream`, SETTINGS and PING are answered and windows are given back unless the options
 * withhold that. What the gateway may not send (a frame too large or for a stream that has ended,
 * DATA beyond a window, a response that is malformed, a header block that breaks HPACK) fails the
 * test with a message. Nothing waits longer than the harness's patience. */
#ifndef E2E_H2_FRAMES_H
#define E2E_H2_FRAMES_H

#include "support/hpack.h"
#include "tls_client.h"

enum h2_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_PRIORITY = 2,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PUSH_PROMISE = 5,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9,
    H2_PRIORITY_UPDATE = 0x10,
};

enum h2_flag {
    H2_ACK = 0x1,
    H2_END_STREAM = 0x1,
    H2_END_HEADERS = 0x4,
    H2_PADDED = 0x8,
    H2_HAS_PRIORITY = 0x20,
};

enum h2_setting_id {
    H2_HEADER_TABLE_SIZE = 1,
    H2_ENABLE_PUSH = 2,
    H2_MAX_CONCURRENT_STREAMS = 3,
    H2_INITIAL_WINDOW_SIZE = 4,
    H2_MAX_FRAME_SIZE = 5,
    H2_MAX_HEADER_LIST_SIZE = 6,
    H2_ENABLE_CONNECT_PROTOCOL = 8,
    H2_NO_RFC7540_PRIORITIES = 9,
};

enum h2_code {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_FLOW_CONTROL_ERROR = 3,
    H2_SETTINGS_TIMEOUT = 4,
    H2_STREAM_CLOSED = 5,
    H2_FRAME_SIZE_ERROR = 6,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_COMPRESSION_ERROR = 9,
    H2_CONNECT_ERROR = 10,
    H2_ENHANCE_YOUR_CALM = 11,
    H2_INADEQUATE_SECURITY = 12,
    H2_HTTP_1_1_REQUIRED = 13,
};
/* Several codes, any of which is right: H2_CODE(H2_STREAM_CLOSED) | H2_CODE(H2_PROTOCOL_ERROR). */
#define H2_CODE(code) (1U << (code))
#define H2_ANY_CODE   0xffffffffU

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct h2_setting {
    uint16_t id;
    uint32_t value;
};

struct h2_frame {
    uint8_t type, flags;
    uint32_t stream;
    const void *payload; /* of one that was read: lives until the next is */
    size_t length;
    bool has_reserved_bit; /* in front of the stream id */
    bool lies;             /* sent: the length field says `claimed` instead */
    uint32_t claimed;
};

/* What came on a stream. Lives until h2_forget or the client's end. */
struct h2_stream {
    uint32_t id;
    struct message *response; /* NULL until its head came; the final one, not 1xx */
    struct message *interim;  /* the newest 1xx; NULL: none */
    int interim_count;
    bool has_ended; /* END_STREAM came */
    bool was_reset; /* RST_STREAM came */
    uint32_t reset_code;
    bool we_reset, we_ended; /* what we sent */
    bool has_trailers;       /* came */
    bool is_tunnel;          /* of CONNECT: no content-length is held against its DATA */
    bool is_head;            /* of HEAD: no body may come */
    int64_t window;          /* what the gateway may still send */
    int64_t send_window;     /* what we may */
    unsigned data_frames;    /* came */
    uint64_t data_bytes;     /* flow-controlled, with padding */
};

struct h2_options {
    const char *about;   /* in front of every failure; may be NULL */
    const char *sni;     /* NULL: "a.test"; :authority of requests, too */
    const char *address; /* NULL: the gateway's first https listener */
    const struct client_options
        *tls;                 /* NULL: SNI and ALPN "h2" alone; its own sni and alpn count */
    const char *proxy_header; /* goes in front of the handshake; NULL: none */
    bool is_plain;            /* without TLS, to `address` (prior knowledge) */
    const struct h2_setting *settings; /* of our first SETTINGS */
    unsigned setting_count;
    bool sends_no_preface; /* nor SETTINGS: for the test to do */
    bool withholds_settings_ack;
    bool withholds_ping_ack;
    bool withholds_windows; /* neither the streams' nor the connection's are given back */
    bool is_slow;           /* all bytes one by one, each in a record of its own */
    bool is_lenient;        /* what comes is not judged: for peers that are not the gateway */
};

/* More SETTINGS at once than the first go unnoticed: floods may. */
enum { H2_UNACKNOWLEDGED_MAX = 16, H2_SETTINGS_A_FRAME = 16, H2_SETTINGS_KNOWN = 16 };

struct h2_client {
    struct client *tls; /* the connection below */
    struct h2_options options;
    struct hpack_decoder decoder;
    struct hpack_bytes out; /* held back (h2_hold) */
    bool is_holding;
    bool was_refused;           /* a write failed: the gateway listens no more */
    uint32_t next_stream;       /* of the next request; odd */
    struct h2_stream **streams; /* by id */
    uint32_t stream_count, stream_room;

    /* What the gateway told. */
    uint32_t peer[H2_SETTINGS_KNOWN]; /* its SETTINGS, by id, or their defaults */
    bool got_settings;
    unsigned settings_acks, ping_acks; /* that came */
    uint64_t pong;                     /* what the newest acknowledged PING carried, as sent */
    unsigned goaways;
    uint32_t goaway_last, goaway_code; /* of the newest */
    char goaway_text[256];             /* its debug data, terminated */
    int64_t send_window;               /* of the connection: what we may send */
    unsigned frames[256];              /* that came, by type */

    /* What we told, and since when it holds. */
    int64_t window;         /* of the connection: what the gateway may send */
    int64_t initial_window; /* of new streams, as acknowledged */
    uint32_t max_frame;     /* as acknowledged */
    struct {
        struct h2_setting list[H2_SETTINGS_A_FRAME];
        unsigned count;
    } unacknowledged[H2_UNACKNOWLEDGED_MAX];
    unsigned unacknowledged_count;
    unsigned settings_sent;

    struct hpack_bytes block; /* of a field section that goes on in CONTINUATION */
    uint32_t block_stream;    /* 0: none */
    bool block_ends_stream;
    struct message *arriving;   /* made of the block, nobody's yet */
    struct hpack_bytes payload; /* of the frame read last */

    bool is_in_block;         /* HEADERS that we sent go on in CONTINUATION */
    struct hpack_bytes late;  /* answers of ours that wait for its end */
    uint32_t highest_stream;  /* that we opened */
    uint64_t pings;           /* of h2_settle, until now */
    struct hpack_bytes story; /* the newest frames both ways, in words: for messages */
};

/* --- connections ---------------------------------------------------------------------------- */

/* Connects, offers h2, requires that it is chosen, sends preface and SETTINGS; reads nothing yet.
 * Lives until the test ends. NULL for options: the defaults. */
struct h2_client *h2_open(struct gateway *gateway, const struct h2_options *options);
/* The same, but the client is its caller's, who ends it with h2_free: for loads of thousands. NULL
 * when the connection or its handshake fails. */
struct h2_client *h2_make(struct gateway *gateway, const struct h2_options *options);
void h2_free(void *client);
/* Ends the connection early: in order, without a GOAWAY; or with a TCP reset. A gateway that drains
 * waits for clients that are left open and not read. */
void h2_close(struct h2_client *client);
void h2_abort(struct h2_client *client);

/* --- sending -------------------------------------------------------------------------------- */

/* None of these waits for anything or looks at windows. What the gateway no longer takes is
 * dropped, and was_refused is set. */
void h2_send_bytes(struct h2_client *client, const void *bytes, size_t length);
void h2_send_frame(struct h2_client *client, const struct h2_frame *frame);
/* From here on frames are collected; then they leave in one go. */
void h2_hold(struct h2_client *client);
void h2_release(struct h2_client *client);

/* Fields as "name", "value" pairs: H2_FIELDS("te", "trailers", "x", "y"). */
#define H2_FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct h2_priority {
    uint32_t depends_on;
    bool is_exclusive;
    uint8_t weight; /* as on the wire */
};

/* A HEADERS frame and its CONTINUATIONs. */
struct h2_headers {
    uint32_t stream;
    const char *const *fields;       /* pairs, written as literals without indexing; or: */
    const struct hpack_field *exact; /* as each says; or: */
    unsigned exact_count;
    const void *block; /* the block as it stands */
    size_t block_length;
    bool ends_stream;
    bool is_unfinished; /* no END_HEADERS anywhere */
    size_t piece;       /* at most so much of the block a frame; 0: as MAX_FRAME_SIZE allows */
    bool is_padded;
    uint8_t padding;
    const struct h2_priority *priority; /* NULL: none */
    uint8_t more_flags;                 /* of the HEADERS frame */
};
void h2_send_headers(struct h2_client *client, const struct h2_headers *headers);
void h2_send_continuation(struct h2_client *client, uint32_t stream, const void *block,
                          size_t length, bool is_last);

void h2_send_data(struct h2_client *client, uint32_t stream, const void *bytes, size_t length,
                  bool ends_stream);
void h2_send_padded_data(struct h2_client *client, uint32_t stream, const void *bytes,
                         size_t length, uint8_t padding, bool ends_stream);
/* Remembered until it is acknowledged. */
void h2_send_settings(struct h2_client *client, const struct h2_setting *settings, unsigned count);
void h2_send_setting(struct h2_client *client, uint16_t id, uint32_t value);
void h2_send_settings_ack(struct h2_client *client);
void h2_send_ping(struct h2_client *client, uint64_t payload, bool is_ack);
void h2_send_goaway(struct h2_client *client, uint32_t last_stream, uint32_t code,
                    const char *words);
void h2_send_reset(struct h2_client *client, uint32_t stream, uint32_t code);
/* Stream 0: the connection's. */
void h2_send_window(struct h2_client *client, uint32_t stream, uint32_t increment);
void h2_send_priority(struct h2_client *client, uint32_t stream, struct h2_priority priority);
void h2_send_priority_update(struct h2_client *client, uint32_t stream, const char *value);

/* Requests: HEADERS with the next id, which they return. */
struct h2_request {
    const char *method;                    /* NULL: GET, or POST with a body */
    const char *scheme, *authority, *path; /* NULL: https, the client's, "/" */
    const char *const *fields;             /* pairs; may be NULL */
    const char *body;                      /* one DATA frame; NULL: none */
    const char *const *trailers;           /* pairs; may be NULL */
    bool goes_on; /* neither END_STREAM nor trailers: the body is the caller's to send */
};
uint32_t h2_send_request(struct h2_client *client, const struct h2_request *request);
/* GET, whole. */
uint32_t h2_get(struct h2_client *client, const char *path);
/* POST, of which the body is still to be sent. */
uint32_t h2_begin_post(struct h2_client *client, const char *path);
/* Sends it within the windows, reading what comes while they are empty; false when the stream or
 * the connection ended before. */
bool h2_send_body(struct h2_client *client, uint32_t stream, const void *bytes, size_t length,
                  bool ends_stream);

/* --- receiving ------------------------------------------------------------------------------ */

/* The next frame, taken in; false when the connection ended, or nothing came within the patience:
 * client->tls->wire.state says which. */
bool h2_read_frame(struct h2_client *client, struct h2_frame *frame);
/* Takes in what has come already, without waiting. */
void h2_read_pending(struct h2_client *client);
/* Reads until that is so; fails the test if the connection ends before. */
typedef bool (*h2_fact)(struct h2_client *client, void *arg);
void h2_read_until(struct h2_client *client, h2_fact fact, void *arg, const char *what);
/* A PING, and everything that comes before its answer: what the gateway had to say of all frames
 * before has come, and the connection lives. */
void h2_settle(struct h2_client *client);
/* Until all our SETTINGS are acknowledged. */
void h2_settle_settings(struct h2_client *client);

/* What came of it until now; for odd ids always there. */
struct h2_stream *h2_stream(struct h2_client *client, uint32_t stream);
/* Frees what a stream holds, once it has ended both ways. */
void h2_forget(struct h2_client *client, uint32_t stream);

/* The final response, read to its end or reset: then it is not complete. Fails the test when the
 * connection ends before. expect_status and its like in tls_client.h go on from there. */
struct message *h2_response(struct h2_client *client, uint32_t stream);
/* Only its head. */
struct message *h2_response_head(struct h2_client *client, uint32_t stream);
/* The same, whole, with that status. */
struct message *h2_expect_response(struct h2_client *client, uint32_t stream, int status);

/* RST_STREAM with that code on that stream, in whatever follows; no connection error. */
void h2_expect_stream_error(struct h2_client *client, uint32_t stream, enum h2_code code);
/* GOAWAY with that code, and then the end of the connection, in order. */
void h2_expect_connection_error(struct h2_client *client, enum h2_code code);
/* One or the other, where the RFC leaves it open (section 5.4: a stream error may be treated as a
 * connection error), with any of the codes (H2_CODE). */
void h2_expect_error(struct h2_client *client, uint32_t stream, unsigned codes);
void h2_expect_stream_error_of(struct h2_client *client, uint32_t stream, unsigned codes);
void h2_expect_connection_error_of(struct h2_client *client, unsigned codes);
/* The end of the connection in order, behind a GOAWAY without an error. */
void h2_expect_orderly_end(struct h2_client *client);
/* The end of the connection, in order; without a GOAWAY or behind any. */
void h2_expect_end(struct h2_client *client);
/* The connection is alive and serves another request (GET /after), whole. */
void h2_expect_served(struct h2_client *client);
/* Fails the test with the message, and the newest frames. */
_Noreturn void h2_fail(struct h2_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define h2_require(client, fact, ...) ((fact) ? (void)0 : h2_fail(client, __VA_ARGS__))

const char *h2_code_name(uint32_t code);
const char *h2_type_name(uint8_t type);

#endif
