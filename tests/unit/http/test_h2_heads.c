/* Heads on an HTTP/2 connection, with a client of nghttp2's making at the other end: how they are
 * counted, and what they say of whose turn it is. */
#include "http/h2_internal.h"
#include "support/fake_stream.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct h1_limits limits;
static struct loop *loop;
static struct task task;
static struct fake_stream *fake;
static struct h2_connection *connection;
static nghttp2_session *client;
static struct arena arena;
static char order[256]; /* of the streams whose DATA came */

static void do_nothing(void *owner)
{
    (void)owner;
}

/* --- the client ----------------------------------------------------------------------------- */

static int note_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                     size_t length, void *user)
{
    size_t used = strlen(order);

    (void)session, (void)flags, (void)bytes, (void)length, (void)user;
    if (used == 0 || order[used - 1] != (char)('0' + id))
        snprintf(order + used, sizeof(order) - used, "%d", id);
    return 0;
}

static void begin(void)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    limits = (struct h1_limits){.head_bytes = 256 * 1024, .fields = 100, .request_line = 16 * 1024};
    loop = loop_new();
    task = (struct task){.run = do_nothing};
    fake = fake_stream_new(loop, &task);
    connection = h2_connection_new(loop, &fake->stream, &task, &limits);
    cr_assert(connection);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, note_data);
    nghttp2_option_new(&option);
    nghttp2_option_set_max_send_header_block_length(option, 1024 * 1024);
    nghttp2_session_client_new2(&client, callbacks, NULL, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void end(void)
{
    while (!list_is_empty(&connection->streams)) {
        struct h2_stream *s =
            container_of(list_first(&connection->streams), struct h2_stream, place);

        s->http.ops->end(&s->http, HTTP_END_ABORT);
    }
    h2_connection_free(connection);
    nghttp2_session_del(client);
    fake_stream_free(fake);
    loop_free(loop);
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(h2_heads, .init = begin, .fini = end);

/* Both sides say all they have to. */
static void talk(void)
{
    const uint8_t *bytes;
    enum h2_state state;
    ssize_t length;

    do {
        while ((length = nghttp2_session_mem_send(client, &bytes)) > 0)
            fake_stream_send(fake, slice_make((const char *)bytes, (size_t)length));
        state = h2_connection_run(connection);
        struct slice written = fake_stream_written(fake);
        ssize_t taken = nghttp2_session_mem_recv(client, (const uint8_t *)written.at, written.len);
        cr_assert_eq(taken, (ssize_t)written.len);
        fake_stream_forget(fake);
    } while ((state == H2_IDLE || state == H2_BUSY) &&
             (nghttp2_session_want_write(client) || !fake_stream_is_quiet(fake)));
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

enum { FIELDS_MOST = 600 };

static nghttp2_nv request[FIELDS_MOST];
static size_t request_fields;

static void add(const char *name, const char *value)
{
    cr_assert(request_fields < FIELDS_MOST);
    request[request_fields++] = field(name, value);
}

static void start_request(void)
{
    request_fields = 0;
    add(":method", "GET");
    add(":scheme", "https");
    add(":authority", "a.example");
    add(":path", "/");
}

static int32_t ask(void)
{
    int32_t id = nghttp2_submit_request(client, NULL, request, request_fields, NULL, NULL);

    cr_assert(id > 0);
    talk();
    return id;
}

static int32_t ask_with_priority(const char *priority)
{
    start_request();
    add("priority", priority);
    return ask();
}

/* --- the gateway ---------------------------------------------------------------------------- */

static struct http_stream *take_request(struct http_head *head)
{
    struct http_stream *http = h2_connection_next(connection);

    cr_assert(http);
    *head = (struct http_head){0};
    if (http->ops->read_head(http, &arena, head) != IO_OK)
        cr_assert_neq(http->reason, REASON_NONE);
    return http;
}

/* What becomes of `request`. */
static enum http_reason judge(struct http_head *head)
{
    struct http_stream *http;
    enum http_reason reason;

    ask();
    http = take_request(head);
    reason = http->reason;
    http->ops->end(http, HTTP_END_ABORT);
    talk();
    return reason;
}

static void answer(struct http_stream *http, const char *priority, size_t body_bytes)
{
    static const char body[64 * 1024];
    struct http_head head = {.status = 200, .framing = BODY_CHUNKED, .keeps_connection = true};
    size_t taken;

    if (priority)
        http_fields_add(&head.fields, &arena, slice_of("Priority"), slice_of(priority));
    cr_assert_eq(http->ops->write_head(http, &head), IO_OK);
    cr_assert_eq(http->ops->write_body(http, slice_make(body, body_bytes), true, &taken), IO_OK);
    cr_assert_eq(taken, body_bytes);
}

/* --- how they are counted --------------------------------------------------------------------- */

static void add_many(unsigned count, const char *name, const char *value)
{
    for (unsigned i = 0; i < count; i++)
        add(name, value);
}

Test(h2_heads, as_many_fields_as_in_http1)
{
    struct http_head head;

    limits.fields = 10; /* of which Host is one */
    start_request();
    add_many(9, "x", "y");
    cr_expect_eq(judge(&head), REASON_NONE);
    cr_expect_eq(head.fields.count, 9);
    add("x", "y");
    cr_expect_eq(judge(&head), REASON_HEADER_TOO_LARGE);
}

Test(h2_heads, cookies_are_one_field)
{
    struct http_head head;

    limits.fields = 10;
    start_request();
    add_many(8, "x", "y");
    add_many(500, "cookie", "a=b");
    cr_expect_eq(judge(&head), REASON_NONE);
    cr_assert_eq(head.fields.count, 9);
    cr_expect_eq(head.fields.list[8].value.len, 500 * 5 - 2);
    add("cookie", "a=b");
    cr_expect_eq(judge(&head), REASON_HEADER_TOO_LARGE, "but not without end");
}

Test(h2_heads, cookies_are_as_long_as_they_are_joined)
{
    struct http_head head;

    start_request();
    add_many(101, "cookie", "a=b");
    limits.head_bytes = /* four pseudo-header fields */ 4 * 4 + 10 + 12 + 19 + 6 +
                        /* and one field */ 10 + 101 * 5 - 2;
    cr_expect_eq(judge(&head), REASON_NONE);
    limits.head_bytes--;
    cr_expect_eq(judge(&head), REASON_HEADER_TOO_LARGE);
}

Test(h2_heads, there_is_no_limit_that_is_none)
{
    struct http_head head;

    limits.head_bytes = UINT32_C(1) << 30; /* four times which is 2^32 */
    start_request();
    cr_expect_eq(judge(&head), REASON_NONE);
}

Test(h2_heads, as_long_as_the_limit_in_as_many_frames_as_that_takes)
{
    static char value[50 * 1024 + 1]; /* of bytes that Huffman's code makes no shorter */
    struct http_head head;

    memset(value, '~', sizeof(value) - 1);
    start_request();
    add_many(5, "x", value);
    cr_expect_eq(judge(&head), REASON_NONE);
    cr_expect_eq(head.fields.count, 5);
    add("y", value);
    cr_expect_eq(judge(&head), REASON_HEADER_TOO_LARGE);
    cr_expect_null(h2_connection_problem(connection));
}

/* 64 KiB (worker/worker.c), which may be less than what it takes in HTTP/2. */
Test(h2_heads, responses_may_have_heads_as_long_as_backends_send)
{
    static char value[1024 + 1];
    struct http_head head, response = {.status = 200, .framing = BODY_CHUNKED};
    struct http_stream *http;
    size_t taken;

    memset(value, '~', sizeof(value) - 1);
    start_request();
    ask();
    http = take_request(&head);
    for (unsigned i = 0; i < 66; i++)
        http_fields_add(&response.fields, &arena, slice_of("X-Long"), slice_of(value));
    cr_assert_eq(http->ops->write_head(http, &response), IO_OK);
    cr_assert_eq(http->ops->write_body(http, slice_of("x"), true, &taken), IO_OK);
    talk();
    cr_expect_str_eq(order, "1");
    http->ops->end(http, HTTP_END_REUSE);
    talk();
    cr_expect_null(h2_connection_problem(connection));
}

/* --- resets --------------------------------------------------------------------------------- */

/* As those do who ask two servers and take the first answer: nobody's limit is in their way. */
Test(h2_heads, every_second_request_may_be_called_off)
{
    start_request();
    for (unsigned i = 0; i < 3000; i++) {
        struct http_head head;
        struct http_stream *http;
        int32_t id;

        ask();
        http = take_request(&head);
        answer(http, NULL, 1);
        talk();
        http->ops->end(http, HTTP_END_REUSE);
        id = ask();
        http = take_request(&head);
        nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        talk();
        http->ops->end(http, HTTP_END_ABORT);
        arena_reset(&arena);
    }
    cr_expect_eq(h2_connection_run(connection), H2_IDLE);
    cr_expect_null(h2_connection_problem(connection));
}

Test(h2_heads, but_not_each)
{
    unsigned count = 0;

    start_request();
    for (; !h2_connection_problem(connection) && count < 3000; count++) {
        struct http_head head;
        int32_t id = ask();
        struct http_stream *http = take_request(&head);

        nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        talk();
        http->ops->end(http, HTTP_END_ABORT);
        arena_reset(&arena);
    }
    cr_expect_str_eq(h2_connection_problem(connection), "ENHANCE_YOUR_CALM");
    cr_expect_geq(count, 300);
    cr_expect_lt(count, 3000);
}

/* --- whose turn it is (RFC 9218) -------------------------------------------------------------- */

/* Two responses of four frames each, the first asked for first. */
static void expect_order(const char *first, const char *second, const char *expected)
{
    struct http_stream *a, *b;
    struct http_head head;

    a = take_request(&head);
    b = take_request(&head);
    answer(a, first, 28 * 1024);
    answer(b, second, 28 * 1024);
    talk();
    cr_expect_str_eq(order, expected);
    a->ops->end(a, HTTP_END_REUSE);
    b->ops->end(b, HTTP_END_REUSE);
}

Test(h2_heads, first_come_first_served_if_nobody_says_otherwise)
{
    start_request();
    ask();
    ask();
    expect_order(NULL, NULL, "13");
}

Test(h2_heads, clients_say_what_is_urgent)
{
    ask_with_priority("u=4");
    ask_with_priority("u=2");
    expect_order(NULL, NULL, "31");
}

Test(h2_heads, backends_know_better)
{
    ask_with_priority("u=1");
    ask_with_priority("u=2");
    expect_order(NULL, "u=0", "31");
}

Test(h2_heads, what_backends_do_not_say_is_as_clients_said)
{
    ask_with_priority("u=5, i");
    ask_with_priority("u=4, i");
    expect_order("u=1", "u=1", "1313");
}

Test(h2_heads, what_backends_do_not_say_is_as_clients_said_last)
{
    static const uint8_t urgent[] = "u=0";
    int32_t second;

    ask_with_priority("u=1");
    second = ask_with_priority("u=2");
    nghttp2_submit_priority_update(client, NGHTTP2_FLAG_NONE, second, urgent, 3);
    talk();
    expect_order(NULL, "x=\"of no use\"", "31");
}

Test(h2_heads, what_is_no_priority_changes_nothing)
{
    ask_with_priority("u=1");
    ask_with_priority("u=2");
    expect_order("u=", "u=0,", "13");
}
