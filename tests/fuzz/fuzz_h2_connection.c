/* A connection of HTTP/2 between a client and exchanges, both of which do anything at any time:
 * what the client gets is right to a second and strict reader of frames, what exchanges get reads
 * as one request each in HTTP/1.1, nobody waits for what has come already, and no more is held than
 * http/h2_connection.h says.
 *
 * Input: records of four bytes. The first byte says what is done (without its highest bit: and then
 * the loop runs), the others with what: see h2_client.h, h2_exchange.h and `enum act` here. */
#include "base/clock.h"
#include "fuzz/h2_exchange.h"
#include "fuzz/records_mutator.h"
#include "support/fake_stream.h"

#include <ev.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum {
    RECORDS_MAX = 1024,
    EXCHANGES_MAX = 1024,
    IDLE_RUNS_MAX = 200,     /* of the owner's task, in which nothing happens */
    OUTPUT_MAX = 128 * 1024, /* frames that the socket does not take */
};

/* The rest of what may be done. */
enum act {
    ACT_RUN = EXCHANGE_ACTS_END, /* the loop; a, b: with so many bytes of the client's, 0: all */
    ACT_ROOM,                    /* a & 1: any number of bytes are taken; else a * 256 + b more */
    ACT_STEPS,                   /* how the stream behaves: a, b */
    ACT_END,                     /* a & 1: by a reset */
    ACT_TIME,
    ACT_DRAIN,
    ACT_FAIL,
    ACTS
};

/* --- time, which passes when a record says so ------------------------------------------------- */

static uint64_t now_us;

uint64_t clock_monotonic_us(void)
{
    return ++now_us;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)clock_monotonic_ms();
}

int64_t clock_file_ms(void)
{
    return clock_wall_ms();
}

void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    snprintf(text, CLOCK_TEXT_SIZE, "%lld", (long long)wall_ms);
}

/* --- one connection --------------------------------------------------------------------------- */

static const struct h1_limits limits = {.head_bytes = 2048, .fields = 16, .request_line = 512};

static struct loop *loop;

enum session_state { SESSION_OPEN, SESSION_LINGERS, SESSION_CLOSED };

static struct {
    struct fake_stream *fake;
    struct h2_connection *connection;
    struct h2_reader *reader;
    struct h2_client client;
    struct task task;
    enum session_state state;
    struct h2_exchange *exchanges[EXCHANGES_MAX];
    unsigned exchange_count, begun_before, moved_before, idle_runs;
    size_t told; /* bytes that the client has not sent yet and the reader knows */
    bool client_has_ended;
} world;

static unsigned live_exchanges(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < world.exchange_count; i++)
        count += world.exchanges[i]->http != NULL;
    return count;
}

static void cut_exchanges(void)
{
    for (unsigned i = 0; i < world.exchange_count; i++)
        h2_exchange_cut(world.exchanges[i]);
}

static void close_session(void)
{
    cut_exchanges();
    world.state = SESSION_CLOSED;
    h2_connection_free(world.connection);
    stream_close(&world.fake->stream);
}

static void take_requests(void)
{
    struct http_stream *http;

    while (world.exchange_count < EXCHANGES_MAX &&
           (http = h2_connection_next(world.connection)) != NULL) {
        struct h2_exchange *x = h2_exchange_new(loop, http, world.reader);

        for (unsigned i = 0; i < world.exchange_count; i++)
            assert(world.exchanges[i]->stream < x->stream);
        world.exchanges[world.exchange_count++] = x;
    }
}

/* A task that runs again and again while nothing comes of it never ends. */
static void check_progress(void)
{
    unsigned moved = world.fake->reads + world.fake->writes + world.exchange_count;

    world.idle_runs = moved == world.moved_before ? world.idle_runs + 1 : 0;
    world.moved_before = moved;
    assert(world.idle_runs < IDLE_RUNS_MAX);
}

static void run_session(void *owner)
{
    (void)owner;
    if (world.state == SESSION_CLOSED)
        return;
    check_progress();
    if (world.state == SESSION_OPEN) {
        enum h2_state state = h2_connection_run(world.connection);

        assert(state != H2_IDLE || live_exchanges() == 0);
        if (state == H2_BROKEN) {
            close_session();
        } else if (state == H2_CLOSING) {
            assert(live_exchanges() == 0 || h2_connection_problem(world.connection) != NULL);
            cut_exchanges();
            world.state = SESSION_LINGERS;
        } else {
            take_requests();
        }
    }
    if (world.state == SESSION_LINGERS && h2_connection_linger(world.connection) != IO_WAIT)
        close_session();
}

/* --- what always holds ------------------------------------------------------------------------ */

static void read_output(void)
{
    struct slice written = fake_stream_written(world.fake);
    const char *why = h2_reader_take_server(world.reader, written.at, written.len);

    if (why != NULL) {
        fprintf(stderr, "the server sends %s\n", why);
        abort();
    }
    fake_stream_forget(world.fake);
}

static void check_held(void)
{
    const struct h2_connection *c = world.connection;
    uint64_t sum = 0, live = live_exchanges(), open = 0;

    if (world.state == SESSION_CLOSED)
        return;
    for (unsigned i = 0; i < world.exchange_count; i++) {
        const struct h2_exchange *x = world.exchanges[i];

        if (x->http == NULL)
            continue;
        const struct h2_stream *s = h2_stream_of(x->http);
        assert(buffer_length(&s->out) <= H2_STREAM_HOLD_MAX);
        assert(buffer_length(&s->in) <= H2_STREAM_WINDOW_MAX);
        sum += buffer_length(&s->out);
        open += s->is_known; /* whoever serves one that is over may be slow to notice */
    }
    assert(sum <= H2_CONNECTION_HOLD + live * H2_STREAM_HOLD);
    assert(c->held >= sum);
    assert(c->held <= H2_CONNECTION_HOLD + (live + H2_STREAMS_MAX) * H2_STREAM_HOLD);
    assert(buffer_length(&c->out) <= OUTPUT_MAX);
    assert(open <= 2 * H2_STREAMS_MAX);
}

static void check_windows(void)
{
    const struct h2_reader *reader = world.reader;

    assert(reader->given - reader->sent <= H2_CONNECTION_WINDOW);
    for (unsigned i = 0; i < reader->stream_count; i++) {
        const struct h2_seen_stream *seen = reader->streams[i];

        assert(reader->server_initial_window + seen->given - seen->sent <= H2_STREAM_WINDOW_MAX);
    }
}

/* What happens byte by byte has been seen after some thousand of them. */
static void speed_up(void)
{
    enum { SMALL_STEPS = 4000 };

    if (world.fake->reads + world.fake->writes < SMALL_STEPS)
        return;
    world.fake->read_step = world.fake->write_step = 0;
    world.fake->read_waits = world.fake->write_waits = false;
}

static void settle(void)
{
    enum { ROUNDS_MAX = 100000 };
    unsigned rounds = 0;
    bool is_busy;

    world.idle_runs = 0;
    do {
        unsigned before = world.fake->reads + world.fake->writes;

        speed_up();
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
        is_busy =
            world.fake->reads + world.fake->writes != before || world.task.state == TASK_QUEUED;
        for (unsigned i = 0; i < world.exchange_count; i++)
            is_busy |= world.exchanges[i]->task.state == TASK_QUEUED;
        assert(rounds++ < ROUNDS_MAX);
    } while (is_busy);
    if (world.state != SESSION_CLOSED)
        read_output();
    check_held();
    check_windows();
}

/* --- acts ------------------------------------------------------------------------------------- */

static void send(size_t most)
{
    struct buffer *out = &world.client.out;
    size_t bytes = buffer_length(out) < most ? buffer_length(out) : most;
    struct slice piece = slice_make(buffer_content(out).at, bytes);

    if (world.client_has_ended || bytes == 0)
        return;
    /* Told of whole frames: the server may act on the front of one. */
    h2_reader_take_client(world.reader, buffer_content(out).at + world.told,
                          buffer_length(out) - world.told);
    world.told = buffer_length(out) - bytes;
    fake_stream_send(world.fake, piece);
    buffer_consume(out, bytes);
    buffer_rest(out);
}

static void set_steps(const struct h2_record *record)
{
    static const size_t steps[] = {0, 1, 2, 3, 9, 64, 1000, 20000};

    world.fake->read_step = steps[record->a & 7];
    world.fake->write_step = steps[record->a >> 3 & 7];
    world.fake->read_waits = record->b & 1;
    world.fake->write_waits = record->b & 2;
    world.fake->holds_back = record->b & 4;
}

static void set_room(const struct h2_record *record)
{
    if (record->a & 1)
        world.fake->room = SIZE_MAX;
    else
        world.fake->room = record->a & 2 || world.fake->room == SIZE_MAX
                               ? record->b
                               : world.fake->room + record->b * 256u;
    fake_stream_take(world.fake, 0);
}

static void end_client(bool by_reset)
{
    if (world.client_has_ended)
        return;
    world.client_has_ended = true;
    if (by_reset)
        world.fake->write_fails = true;
    fake_stream_end(world.fake, by_reset ? IO_ERROR : IO_EOF);
}

static struct h2_exchange *exchange_of(uint8_t which)
{
    struct h2_exchange *x;

    if (world.exchange_count == 0)
        return NULL;
    x = world.exchanges[world.exchange_count - 1 - which % world.exchange_count];
    return x->http != NULL ? x : NULL;
}

static void act_on_connection(const struct h2_record *record)
{
    switch ((enum act)record->what) {
    case ACT_RUN: send(record->a | record->b ? record->a * 256u + record->b : SIZE_MAX); break;
    case ACT_ROOM: set_room(record); break;
    case ACT_STEPS: set_steps(record); break;
    case ACT_END: end_client(record->a & 1); break;
    case ACT_TIME: now_us += (uint64_t)record->a * 20000; break;
    case ACT_DRAIN:
        if (world.state == SESSION_OPEN)
            h2_connection_drain(world.connection);
        break;
    case ACT_FAIL:
        if (world.state == SESSION_OPEN)
            h2_connection_fail(world.connection, "ANY");
        break;
    case ACTS: break;
    }
}

static void act(const uint8_t bytes[RECORD_BYTES])
{
    struct h2_record record = {(bytes[0] & 0x7f) % ACTS, bytes[1], bytes[2], bytes[3]};
    struct h2_exchange *x = exchange_of(record.a);

    if (record.what < CLIENT_ACTS)
        h2_client_act(&world.client, &record);
    else if (record.what >= EXCHANGE_ACTS_END)
        act_on_connection(&record);
    else if (x != NULL)
        h2_exchange_act(x, &record);
    if (bytes[0] & 0x80)
        return;
    if (record.what < CLIENT_ACTS)
        send(SIZE_MAX);
    settle();
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Whoever has all that is needed must be done. */
static void check_none_is_stuck(void)
{
    const struct h2_reader *reader = world.reader;

    for (unsigned i = 0; i < world.exchange_count; i++) {
        const struct h2_exchange *x = world.exchanges[i];
        const struct h2_seen_stream *seen = h2_reader_find(reader, x->stream);

        if (x->http == NULL)
            continue;
        /* What it still waits for is the client's to send. */
        assert(!seen->has_ended && !seen->client_reset);
        assert(x->has_answer && x->answer_is_whole == false && x->framing == BODY_CLOSE);
    }
}

static void go_to_the_end(void)
{
    bool is_clean;

    world.fake->room = SIZE_MAX;
    fake_stream_take(world.fake, 0);
    send(SIZE_MAX);
    settle();
    is_clean = h2_reader_client_is_between_frames(world.reader);
    if (is_clean) {
        h2_client_open_windows(&world.client);
        send(SIZE_MAX);
    }
    for (unsigned i = 0; i < world.exchange_count; i++)
        if (world.exchanges[i]->http != NULL)
            h2_exchange_go_on(world.exchanges[i]);
    settle();
    if (is_clean && !world.client_has_ended)
        check_none_is_stuck();
    end_client(false);
    settle();
    for (unsigned i = 0; i < world.exchange_count; i++)
        assert(world.exchanges[i]->http == NULL);
    assert(world.state != SESSION_OPEN);
}

static void check_answers(void)
{
    for (unsigned i = 0; i < world.exchange_count; i++)
        h2_exchange_check(world.exchanges[i],
                          h2_reader_find(world.reader, world.exchanges[i]->stream));
}

/* --- life ------------------------------------------------------------------------------------- */

static void leave(void)
{
    loop_free(loop);
}

static void open_world(void)
{
    if (loop == NULL) {
        loop = loop_new();
        assert(loop != NULL);
        atexit(leave);
    }
    memset(&world, 0, sizeof(world));
    task_init(&world.task, run_session, &world);
    world.fake = fake_stream_new(loop, &world.task);
    world.connection = h2_connection_new(loop, &world.fake->stream, &world.task, &limits);
    assert(world.connection != NULL);
    world.reader = h2_reader_new();
    h2_client_init(&world.client, world.reader);
    loop_wake(loop, &world.task);
}

static void free_nothing(void *owner)
{
    (void)owner;
}

static void close_world(void)
{
    if (world.state != SESSION_CLOSED)
        close_session();
    for (unsigned i = 0; i < world.exchange_count; i++)
        h2_exchange_free(world.exchanges[i]);
    loop_bury(loop, &world.task, free_nothing);
    ev_run(loop_ev(loop), EVRUN_NOWAIT);
    h2_client_clear(&world.client);
    h2_reader_free(world.reader);
    fake_stream_free(world.fake);
    buffer_cache_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < RECORD_BYTES || length > RECORDS_MAX * RECORD_BYTES)
        return 0;
    now_us = 1000000;
    open_world();
    /* The first record may say that there is no greeting. */
    if (bytes[0] != 0xff)
        h2_client_greet(&world.client);
    for (size_t at = 0; at + RECORD_BYTES <= length; at += RECORD_BYTES)
        act(bytes + at);
    go_to_the_end();
    check_answers();
    close_world();
    return 0;
}
