/* Frames of HTTP/2 by hand, for attacker_h2.c. */
#ifndef BENCH_ATTACKER_FRAMES_H
#define BENCH_ATTACKER_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { BATCH = 16384 };
enum frame_type { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW, MORE };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4, PADDED = 8, UNKNOWN_TYPE = 0x42 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Bytes to be written, frame by frame. */
struct batch {
    unsigned char bytes[BATCH + 1024];
    size_t length;
    unsigned long frames;
};

static inline void put(struct batch *batch, const void *bytes, size_t length)
{
    memcpy(batch->bytes + batch->length, bytes, length);
    batch->length += length;
}

static inline void put_u32(struct batch *batch, unsigned value)
{
    put(batch,
        (unsigned char[]){(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                          (unsigned char)(value >> 8), (unsigned char)value},
        4);
}

static inline void put_frame(struct batch *batch, int type, int flags, unsigned stream,
                             const void *payload, size_t length)
{
    put_u32(batch, (unsigned)length << 8 | (unsigned)type);
    put(batch, &(unsigned char){(unsigned char)flags}, 1);
    put_u32(batch, stream);
    put(batch, payload, length);
    batch->frames++;
}

static inline void put_number_frame(struct batch *batch, int type, unsigned stream, unsigned number)
{
    struct batch one = {.length = 0};
    put_u32(&one, number);
    put_frame(batch, type, 0, stream, one.bytes, one.length);
}

/* :method, :scheme https, :authority localhost, :path; paths are short. */
static inline size_t make_head(unsigned char *into, bool posts, const char *path)
{
    static const char rest[] = "\x87\x01\x09localhost\x04";
    size_t path_bytes = strlen(path), at = 0;
    into[at++] = posts ? 0x83 : 0x82;
    memcpy(into + at, rest, sizeof(rest) - 1);
    at += sizeof(rest) - 1;
    into[at++] = (unsigned char)path_bytes;
    memcpy(into + at, path, path_bytes);
    return at + path_bytes;
}

static inline void put_request(struct batch *batch, unsigned stream, bool posts, const char *path)
{
    unsigned char head[256];
    size_t length = make_head(head, posts, path);
    put_frame(batch, HEADERS, END_HEADERS | (posts ? 0 : END_STREAM), stream, head, length);
}

static inline unsigned read_u32(const unsigned char *at)
{
    return (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
}

#endif
