/* HTTP/1 heads and chunks as bytes. */
#include "http/h1_writer.h"

#include <criterion/criterion.h>

static struct arena arena;
static struct buffer out;
static struct http_head head;

static void start(void)
{
    head = (struct http_head){0};
    head.method_text = slice_of("GET");
    head.path = slice_of("/a");
    head.query = slice_of("?b");
    head.status = 200;
}

static void clear(void)
{
    arena_clear(&arena);
    buffer_clear(&out);
    buffer_cache_clear();
}

static void add(const char *name, const char *value)
{
    http_fields_add(&head.fields, &arena, slice_of(name), slice_of(value));
}

static void expect_out(const char *text)
{
    cr_expect(slice_equal(buffer_content(&out), slice_of(text)), "%.*s\nnot\n%s",
              (int)buffer_length(&out), out.base, text);
    buffer_clear(&out);
}

TestSuite(writer, .init = start, .fini = clear);

Test(writer, request_head)
{
    struct h1_send send = {.framing = BODY_NONE};

    add("Accept", "*/*");
    add("Host", "what the client said");
    add("x-EMPTY", "");
    cr_assert(h1_write_request_head(&out, &head, slice_of("b.example:81"), &send));
    expect_out("GET /a?b HTTP/1.1\r\nHost: b.example:81\r\nAccept: */*\r\nx-EMPTY: \r\n\r\n");
}

Test(writer, request_framings)
{
    struct h1_send send = {.framing = BODY_LENGTH, .content_length = UINT64_MAX};

    cr_assert(h1_write_request_head(&out, &head, slice_of("b"), &send));
    expect_out("GET /a?b HTTP/1.1\r\nHost: b\r\nContent-Length: 18446744073709551615\r\n\r\n");
    send = (struct h1_send){.framing = BODY_CHUNKED};
    cr_assert(h1_write_request_head(&out, &head, slice_of("b"), &send));
    expect_out("GET /a?b HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    send = (struct h1_send){.framing = BODY_NONE, .announce_length = true};
    cr_assert(h1_write_request_head(&out, &head, slice_of("b"), &send));
    expect_out("GET /a?b HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n");
    send = (struct h1_send){.upgrade = slice_of("websocket")};
    cr_assert(h1_write_request_head(&out, &head, slice_of("b"), &send));
    expect_out("GET /a?b HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

Test(writer, response_heads)
{
    struct h1_send send = {.framing = BODY_LENGTH, .content_length = 12};

    add("Server", "x");
    cr_assert(h1_write_response_head(&out, &head, &send));
    expect_out("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 12\r\n\r\n");
    head.status = 299;
    send = (struct h1_send){.framing = BODY_CLOSE, .close = true};
    cr_assert(h1_write_response_head(&out, &head, &send));
    expect_out("HTTP/1.1 299 \r\nServer: x\r\nConnection: close\r\n\r\n");
    head.reason_phrase = slice_of("As It Came");
    send = (struct h1_send){.framing = BODY_CHUNKED, .keep_alive_http10 = true};
    cr_assert(h1_write_response_head(&out, &head, &send));
    expect_out("HTTP/1.1 299 As It Came\r\nServer: x\r\nTransfer-Encoding: chunked\r\n"
               "Connection: keep-alive\r\n\r\n");
    send = (struct h1_send){.upgrade = slice_of("x"), .close = true};
    cr_assert(h1_write_response_head(&out, &head, &send));
    expect_out("HTTP/1.1 299 As It Came\r\nServer: x\r\nConnection: close, upgrade\r\n"
               "Upgrade: x\r\n\r\n");
}

Test(writer, goes_behind_what_is_there)
{
    struct h1_send send = {.framing = BODY_NONE};

    cr_assert(buffer_append_text(&out, "before"));
    cr_assert(h1_write_response_head(&out, &head, &send));
    expect_out("beforeHTTP/1.1 200 OK\r\n\r\n");
}

/* Reserved in one go, whatever its size. */
Test(writer, large_heads)
{
    struct h1_send send = {.framing = BODY_NONE};
    size_t size = 100000;
    char *value = arena_bytes(&arena, size);

    memset(value, 'v', size);
    http_fields_add(&head.fields, &arena, slice_of("X"), slice_make(value, size));
    cr_assert(h1_write_response_head(&out, &head, &send));
    cr_assert_eq(buffer_length(&out), size + strlen("HTTP/1.1 200 OK\r\nX: \r\n\r\n"));
}

Test(writer, chunks)
{
    cr_assert(h1_write_chunk_start(&out, 1));
    expect_out("1\r\n");
    cr_assert(h1_write_chunk_start(&out, 0x1f00));
    expect_out("1f00\r\n");
    cr_assert(h1_write_chunk_start(&out, SIZE_MAX));
    expect_out("ffffffffffffffff\r\n");
    cr_assert(h1_write_last_chunk(&out, NULL));
    expect_out("0\r\n\r\n");
    add("X-Sum", "1");
    add("Y", "");
    cr_assert(h1_write_last_chunk(&out, &head.fields));
    expect_out("0\r\nX-Sum: 1\r\nY: \r\n\r\n");
}
