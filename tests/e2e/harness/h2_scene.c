#include "h2_scene.h"

#include "json_log.h"
#include "monitor.h"
#include "pattern.h"
#include "workplace.h"

#include <stdlib.h>
#include <string.h>

struct h2_scene h2_scene_start(const char *keys)
{
    struct h2_scene scene = {.origin = origin_start("one")};

    scene.gateway = gateway_start("{ @base, %s 'routes': { 'a.test': '%s' } }", keys,
                                  origin_address(scene.origin));
    return scene;
}

/* --- backends ------------------------------------------------------------------------------------
 */

static bool pass(struct gate *gate)
{
    if (gate == NULL || gate_wait(gate))
        return true;
    workplace_note("nobody opened the gate");
    return false;
}

static void take_steps(struct origin_turn *turn)
{
    const struct h2_steps *steps = turn->arg;

    turn->is_closing = steps->closes || steps->resets;
    for (int i = 0; i < 6 && steps->list[i].bytes != NULL; i++) {
        const struct h2_step *step = &steps->list[i];
        if (!pass(step->gate) || !wire_write(turn->wire, step->bytes, strlen(step->bytes))) {
            turn->is_closing = true;
            return;
        }
    }
    pass(steps->at_end);
    if (steps->resets)
        wire_reset(turn->wire);
}

void h2_script_steps(struct origin *origin, const char *path, const struct h2_steps *steps)
{
    struct h2_steps *copy = workplace_own(malloc(sizeof *copy), free);

    if (copy == NULL)
        abort();
    *copy = *steps;
    origin_set_script(origin, path, take_steps, copy);
}

static void tell_at_gate(struct origin_turn *turn)
{
    pass(turn->arg);
    origin_tell(turn);
}

void h2_script_tell_at(struct origin *origin, const char *path, struct gate *gate)
{
    origin_set_script(origin, path, tell_at_gate, gate);
}

struct h2_fountain {
    uint64_t bytes, sent;
    bool is_narrow, is_over;
};

static void pour(struct origin_turn *turn)
{
    struct h2_fountain *fountain = turn->arg;
    int little = 65536;

    if (fountain->is_narrow)
        setsockopt(turn->wire->fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    turn->is_closing = !wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                                   (unsigned long long)fountain->bytes);
    while (!turn->is_closing && fountain->sent < fountain->bytes) {
        uint64_t left = fountain->bytes - fountain->sent;
        size_t piece = left < PATTERN_PIECE ? (size_t)left : PATTERN_PIECE;
        turn->is_closing = !wire_write(turn->wire, pattern_at(fountain->sent), piece);
        monitor_lock();
        fountain->sent += turn->is_closing ? 0 : piece;
        monitor_changed();
        monitor_unlock();
    }
    monitor_lock();
    fountain->is_over = true;
    monitor_changed();
    monitor_unlock();
}

struct h2_fountain *h2_fountain_new(struct origin *origin, const char *path, uint64_t bytes)
{
    struct h2_fountain *fountain = workplace_own(calloc(1, sizeof *fountain), free);

    if (fountain == NULL)
        abort();
    fountain->bytes = bytes;
    origin_set_script(origin, path, pour, fountain);
    return fountain;
}

void h2_fountain_narrow(struct h2_fountain *fountain)
{
    fountain->is_narrow = true;
}

uint64_t h2_fountain_sent(struct h2_fountain *fountain)
{
    monitor_lock();
    uint64_t sent = fountain->sent;
    monitor_unlock();
    return sent;
}

struct poured {
    struct h2_fountain *fountain;
    uint64_t bytes;
};

static bool has_sent(void *arg)
{
    struct poured *poured = arg;
    return poured->fountain->sent >= poured->bytes;
}

void h2_fountain_await(struct h2_fountain *fountain, uint64_t bytes)
{
    struct poured poured = {fountain, bytes};
    workplace_require(monitor_wait(has_sent, &poured), "the backend cannot send as much");
}

static bool is_over(void *arg)
{
    return ((struct h2_fountain *)arg)->is_over;
}

bool h2_fountain_wait(struct h2_fountain *fountain)
{
    workplace_require(monitor_wait(is_over, fountain), "the backend still sends");
    return fountain->sent == fountain->bytes;
}

/* --- waiting -------------------------------------------------------------------------------------
 */

struct awaited {
    uint32_t stream;
    uint64_t count;
};

static bool has_bytes(struct h2_client *client, void *arg)
{
    struct awaited *awaited = arg;
    struct h2_stream *stream = h2_stream(client, awaited->stream);

    return stream->response != NULL && stream->response->body_bytes >= awaited->count;
}

void h2_await_bytes(struct h2_client *client, uint32_t stream, uint64_t bytes)
{
    struct awaited awaited = {stream, bytes};

    h2_read_until(client, has_bytes, &awaited,
                  text("%llu bytes on stream %u", (unsigned long long)bytes, stream));
}

static bool has_goaways(struct h2_client *client, void *arg)
{
    return client->goaways >= ((struct awaited *)arg)->count;
}

void h2_await_goaways(struct h2_client *client, unsigned count)
{
    struct awaited awaited = {.count = count};

    h2_read_until(client, has_goaways, &awaited, text("%u GOAWAYs", count));
}

static bool is_reset(struct h2_client *client, void *arg)
{
    struct h2_stream *stream = h2_stream(client, ((struct awaited *)arg)->stream);

    return stream->was_reset || stream->has_ended;
}

uint32_t h2_await_reset(struct h2_client *client, uint32_t stream)
{
    struct awaited awaited = {.stream = stream};

    h2_read_until(client, is_reset, &awaited, text("a reset of stream %u", stream));
    workplace_require(!h2_stream(client, stream)->has_ended, "stream %u ended in order", stream);
    return h2_stream(client, stream)->reset_code;
}

void h2_await_status(const char *member, long long value)
{
    long long start = monitor_now_ms();

    for (;;) {
        json_t *page = json_from(ask_admin("GET", "/status")->body);
        long long is = json_integer_value(json_member(page, member));
        if (is == value)
            return;
        workplace_require(monitor_may_ask_again(start), "%s is %lld, not %lld", member, is, value);
    }
}

void h2_expect_from(struct h2_client *client, uint32_t stream, const char *origin_name)
{
    expect_from(h2_response(client, stream), origin_name);
}

void h2_expect_waiting(struct h2_client *client, uint32_t stream)
{
    struct h2_stream *is = h2_stream(client, stream);

    workplace_require(is->response == NULL && !is->has_ended && !is->was_reset,
                      "stream %u has been answered", stream);
}

static void count_record(int is_ours, int version, int type, const void *header, size_t length,
                         SSL *ssl, void *arg)
{
    struct h2_records *records = arg;
    const unsigned char *bytes = header;

    (void)version, (void)ssl;
    if (is_ours || type != SSL3_RT_HEADER || length != SSL3_RT_HEADER_LENGTH ||
        bytes[0] != SSL3_RT_APPLICATION_DATA)
        return;
    records->count++;
    records->bytes += (size_t)bytes[3] << 8 | bytes[4];
}

void h2_count_records(struct h2_client *client, struct h2_records *records)
{
    *records = (struct h2_records){0};
    SSL_set_msg_callback(client->tls->wire.ssl, count_record);
    SSL_set_msg_callback_arg(client->tls->wire.ssl, records);
}
