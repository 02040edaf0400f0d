/* What the two directions of support/h2_reader share. */
#ifndef TESTS_SUPPORT_H2_READER_INTERNAL_H
#define TESTS_SUPPORT_H2_READER_INTERNAL_H

#include "support/h2_reader.h"

#include <nghttp2/nghttp2.h>

enum {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION,
};

enum {
    H2_FLAG_END_STREAM = 1, /* ACK of SETTINGS and PING */
    H2_FLAG_END_HEADERS = 4,
    H2_FLAG_PADDED = 8,
    H2_FLAG_PRIORITY = 32,
};

struct h2_half {
    struct h2_bytes in; /* from `used` on */
    size_t used;
    bool has_preface; /* of the client */
    struct h2_bytes block;
    uint32_t open_block; /* the stream whose field section is not whole; 0: none */
    bool block_ends;     /* its stream, behind it */
    nghttp2_hd_inflater *inflater;
};

struct h2_seen_frame {
    uint8_t type, flags;
    uint32_t stream;
    const char *payload;
    size_t len;
};

void h2_bytes_append(struct h2_bytes *bytes, const void *at, size_t len);
struct h2_seen_stream *h2_reader_open(struct h2_reader *reader, uint32_t id);
bool h2_half_next(struct h2_half *half, struct h2_seen_frame *frame);
bool h2_half_decode(struct h2_half *half, struct h2_bytes *lines);
bool h2_frame_unwrap(struct h2_seen_frame *frame);
uint32_t h2_frame_number(const struct h2_seen_frame *frame, size_t at);

#endif
