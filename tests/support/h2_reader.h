/* A second reader of HTTP/2, strict and simple, that shares nothing with gateway/http: it reads
 * what both sides of a connection send and says what is wrong with the server's. For unit and fuzz
 * tests. nghttp2 decodes field sections for it; frames, streams and windows are its own.
 *
 * The client may send anything: its bytes are taken for what they allow the server, and no more is
 * taken once they make no sense. A server may act on a client's settings from the moment they are
 * there, and must once it has acknowledged them; so until then both are right. */
#ifndef TESTS_SUPPORT_H2_READER_H
#define TESTS_SUPPORT_H2_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; owned by the reader. */
struct h2_bytes {
    char *at;
    size_t len, capacity;
};

enum h2_answer {
    H2_ANSWER_NONE,
    H2_ANSWER_INTERIM, /* 1xx so far */
    H2_ANSWER_BEGUN,   /* its head is there */
    H2_ANSWER_WHOLE,
};

struct h2_seen_stream {
    uint32_t id;
    /* the request; `fields` and `trailers` are lines of "name: value\n" */
    struct h2_bytes fields, trailers, body;
    bool is_head, has_ended, client_reset;
    /* the response */
    struct h2_bytes answer_fields, answer_trailers, answer_body;
    enum h2_answer answer;
    int status; /* the final one */
    unsigned interims;
    int64_t announced; /* its Content-Length; -1: none */
    bool was_reset;
    uint32_t reset_code;
    int64_t window; /* what the client lets come, apart from the initial one */
    int64_t given;  /* what the server lets come, all in all */
    int64_t sent;   /* flow-controlled bytes of the client */
};

enum { H2_PINGS_KEPT = 64, H2_SETTINGS_KEPT = 64 };

/* The values of one SETTINGS frame of a client: the last, and the most permissive. */
struct h2_seen_settings {
    int64_t window, window_most, frame, frame_most, table;
    bool has_window, has_frame, has_table;
};

struct h2_half; /* one direction's bytes on their way to being frames */

struct h2_reader {
    struct h2_half *client, *server;
    struct h2_seen_stream **streams; /* in the order of their ids */
    unsigned stream_count, stream_room;
    uint32_t last_id; /* the client's highest */

    bool client_is_lost; /* its bytes make no sense from there on */
    struct h2_seen_settings pending[H2_SETTINGS_KEPT];
    unsigned pending_count, settings_acks;
    int64_t initial_window, frame_max;
    int64_t window; /* of the connection, towards the client */
    char pings[H2_PINGS_KEPT][8];
    unsigned ping_count, ping_answers;

    bool has_settings; /* the server's first frame */
    int64_t server_initial_window;
    int64_t given, sent; /* as in a stream */
    unsigned goaways;
    uint32_t goaway_last, goaway_code;
    char server_ping[8];
    unsigned server_pings;
    const char *why;
};

struct h2_reader *h2_reader_new(void);
void h2_reader_free(struct h2_reader *reader);

/* Bytes that the client sends; before the server can have got them. */
void h2_reader_take_client(struct h2_reader *reader, const char *at, size_t len);
/* Bytes that came from the server: NULL, or what is wrong, which stays. */
const char *h2_reader_take_server(struct h2_reader *reader, const char *at, size_t len);
/* Nothing of the server's is on its way: its last frame and field section are whole. */
bool h2_reader_is_between_frames(const struct h2_reader *reader);
/* The same for the client's, which make sense so far. */
bool h2_reader_client_is_between_frames(const struct h2_reader *reader);

struct h2_seen_stream *h2_reader_find(const struct h2_reader *reader, uint32_t id);
/* The value of the first field of that name in lines of "name: value\n"; -1: none. */
ptrdiff_t h2_lines_find(const struct h2_bytes *lines, const char *name, const char **value);

#endif
