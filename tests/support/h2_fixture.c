#include "support/h2_fixture.h"

#include <criterion/criterion.h>
#include <ev.h>

struct h2_fixture h2;

static void count_wake(void *owner)
{
    struct h2_request *request = owner;

    request->wakes++;
}

static void take_requests(void)
{
    struct http_stream *http;

    while ((http = h2_connection_next(h2.connection)) != NULL) {
        struct h2_request *request = &h2.requests[h2.request_count++];

        cr_assert(h2.request_count <= H2_FIXTURE_EXCHANGES);
        request->http = http;
        task_init(&request->task, count_wake, request);
        http->task = &request->task;
    }
}

static void run(void *owner)
{
    (void)owner;
    h2.runs++;
    if (h2.state == H2_BROKEN || h2.state == H2_CLOSING)
        return;
    h2.state = h2_connection_run(h2.connection);
    if (h2.state <= H2_BUSY)
        take_requests();
}

void h2_fixture_start(const nghttp2_settings_entry *settings, size_t count)
{
    memset(&h2, 0, sizeof(h2));
    h2.limits =
        (struct h1_limits){.head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};
    h2.loop = loop_new();
    cr_assert(h2.loop != NULL);
    task_init(&h2.task, run, NULL);
    h2.fake = fake_stream_new(h2.loop, &h2.task);
    h2.connection = h2_connection_new(h2.loop, &h2.fake->stream, &h2.task, &h2.limits);
    cr_assert(h2.connection != NULL);
    h2.peer = h2_peer_new(h2.fake, settings, count);
    loop_wake(h2.loop, &h2.task);
}

void h2_fixture_clear(void)
{
    for (unsigned i = 0; i < h2.request_count; i++) {
        if (h2.requests[i].http != NULL)
            h2_end(&h2.requests[i], HTTP_END_ABORT);
        buffer_clear(&h2.requests[i].body);
    }
    h2_connection_free(h2.connection);
    h2.state = H2_BROKEN;
    h2_turn();
    for (unsigned i = 0; i < h2.request_count; i++)
        arena_clear(&h2.requests[i].arena);
    h2_peer_free(h2.peer);
    fake_stream_free(h2.fake);
    loop_free(h2.loop);
    buffer_cache_clear();
}

static bool is_anything_queued(void)
{
    bool is_queued = h2.task.state == TASK_QUEUED;

    for (unsigned i = 0; i < h2.request_count; i++)
        is_queued |= h2.requests[i].task.state == TASK_QUEUED;
    return is_queued;
}

void h2_turn(void)
{
    enum { ROUNDS_MOST = 100000 };
    unsigned rounds = 0;

    do {
        ev_run(loop_ev(h2.loop), EVRUN_NOWAIT);
        cr_assert(rounds++ < ROUNDS_MOST, "the loop goes round and round");
    } while (is_anything_queued());
}

void h2_settle(void)
{
    unsigned before;

    do {
        before = h2.fake->reads + h2.fake->writes;
        if (!h2.is_reading_off)
            h2_peer_pump(h2.peer);
        h2_turn();
    } while (h2.fake->reads + h2.fake->writes != before);
}

struct h2_request *h2_take(void)
{
    struct h2_request *request;

    h2_settle();
    cr_assert(h2.taken < h2.request_count, "no request has come");
    request = &h2.requests[h2.taken++];
    cr_assert_eq(request->http->ops->read_head(request->http, &request->arena, &request->head),
                 IO_OK);
    return request;
}

enum io h2_read(struct h2_request *request)
{
    struct http_stream *http = request->http;
    struct slice piece;
    enum io io;

    while ((io = http->ops->read_body(http, &piece)) == IO_OK) {
        cr_assert(piece.len > 0);
        buffer_append(&request->body, piece);
        http->ops->consume_body(http, piece.len);
    }
    return io;
}

/* It may be held back until it is asked for. */
static enum io flush(struct h2_request *request)
{
    request->http->ops->flush(request->http);
    h2_settle();
    return request->http->ops->flush(request->http);
}

enum io h2_write_head(struct h2_request *request, int status, enum body_framing framing,
                      uint64_t length)
{
    struct http_head head = {.status = status,
                             .version_minor = 1,
                             .keeps_connection = true,
                             .framing = framing,
                             .content_length = length,
                             .has_content_length = framing == BODY_LENGTH};

    return request->http->ops->write_head(request->http, &head);
}

size_t h2_write_some(struct h2_request *request, struct slice bytes)
{
    size_t taken = 0, all = 0;

    while (all < bytes.len && request->http->ops->write_body(request->http, slice_skip(bytes, all),
                                                             false, &taken) == IO_OK)
        all += taken;
    return all;
}

void h2_write(struct h2_request *request, struct slice bytes, bool last)
{
    size_t taken;
    unsigned wakes = request->wakes;
    enum io io = request->http->ops->write_body(request->http, bytes, last, &taken);

    while (io == IO_WAIT || taken < bytes.len) {
        cr_assert(io != IO_ERROR);
        bytes = slice_skip(bytes, taken);
        h2_settle();
        if (io == IO_WAIT)
            cr_assert(request->wakes != wakes, "nobody says that it may go on");
        wakes = request->wakes;
        io = request->http->ops->write_body(request->http, bytes, last, &taken);
    }
    cr_assert_eq(io, IO_OK);
}

static void free_nothing(void *owner)
{
    (void)owner;
}

void h2_end(struct h2_request *request, enum http_end how)
{
    if (how != HTTP_END_ABORT)
        cr_assert_eq(flush(request), IO_OK);
    request->http->ops->end(request->http, how);
    request->http = NULL;
    loop_bury(h2.loop, &request->task, free_nothing);
    loop_wake(h2.loop, &h2.task);
}

void h2_respond(struct h2_request *request, const char *body)
{
    cr_assert_eq(h2_write_head(request, 200, BODY_LENGTH, strlen(body)), IO_OK);
    h2_write(request, slice_of(body), true);
    h2_end(request, HTTP_END_REUSE);
    h2_settle();
}

bool h2_holds_no_buffer(void)
{
    const struct h2_connection *c = h2.connection;

    return c->in.base == NULL && c->out.base == NULL && c->sections.base == NULL && c->held == 0;
}

void expect_text(const struct buffer *buffer, const char *text)
{
    struct slice got = buffer_content(buffer);

    cr_expect(slice_equal(got, slice_of(text)), "%.*s\nnot\n%s", (int)got.len, got.at, text);
}
