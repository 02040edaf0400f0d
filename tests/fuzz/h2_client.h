/* A client of HTTP/2 that is made of records: frames that are right, nearly right and wrong, and
 * bytes that are none, which wait here until they are sent. */
#ifndef FUZZ_H2_CLIENT_H
#define FUZZ_H2_CLIENT_H

#include "base/buffer.h"
#include "support/h2_reader.h"

/* Four bytes: what to do, and with what. */
struct h2_record {
    uint8_t what, a, b, c;
};

/* What a client does. */
enum h2_client_act {
    CLIENT_FIELD,   /* a: of the table of fields, into the section that is being made; b & 1:
                       indexed for later */
    CLIENT_RAW,     /* a, b, c into the section as they are */
    CLIENT_HEADERS, /* the section so far, behind what a request needs: a: flags, see below */
    CLIENT_CONTINUATION,
    CLIENT_DATA,     /* a: flags; b: which stream; c: how much */
    CLIENT_RESET,    /* a: the code; b: which stream */
    CLIENT_SETTINGS, /* a: which; b, c: its value; a & 0x80: an acknowledgement */
    CLIENT_PING,     /* a & 1: the answer to the server's */
    CLIENT_WINDOW,   /* a & 1: of a stream, which b names; c: how much */
    CLIENT_PRIORITY, /* a & 1: the frame of RFC 9218; b: which stream; c: its priority */
    CLIENT_GOAWAY,
    CLIENT_BYTES, /* a, b, c as they are */
    CLIENT_FRAME, /* of type a, flags b, with c zeroes, of the stream that was opened last */
    CLIENT_ACTS
};

/* Of CLIENT_HEADERS. */
enum {
    HEADERS_END_STREAM = 1,
    HEADERS_UNFINISHED = 2, /* CONTINUATION follows */
    HEADERS_PADDED = 4,
    HEADERS_PRIORITY = 8,
    HEADERS_ON_OLD = 16, /* on a stream that is open, which b names: trailers */
    HEADERS_BARE = 32,   /* nothing in front of the section */
    HEADERS_POST = 64,
    HEADERS_SKIP = 128, /* leaves out the next c streams */
};

struct h2_client {
    const struct h2_reader *reader;
    struct buffer out, section;
    uint32_t next_id, last_id;
    uint64_t bytes_made; /* of bodies */
};

/* `length` bytes from there on of a body that never repeats itself soon: made once, so that nothing
 * is to be made for each byte. */
const char *h2_pattern(uint64_t from, size_t length);

void h2_client_init(struct h2_client *client, const struct h2_reader *reader);
void h2_client_clear(struct h2_client *client);
/* The preface and empty SETTINGS. */
void h2_client_greet(struct h2_client *client);
/* `record.what` is below CLIENT_ACTS. */
void h2_client_act(struct h2_client *client, const struct h2_record *record);
/* Windows that let everything come. */
void h2_client_open_windows(struct h2_client *client);

#endif
