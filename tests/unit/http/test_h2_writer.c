/* HTTP/2 heads and trailers as nghttp2 gets them, and as a client of its making takes them. */
#include "http/h2_writer.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena arena;
static struct http_head head;
static struct h2_fields fields;
static struct http_body_plan body;
static char text[4096];

static void start(void)
{
    head = (struct http_head){.status = 200, .framing = BODY_CHUNKED};
}

static void clear(void)
{
    arena_clear(&arena);
}

static void add(const char *name, const char *value)
{
    http_fields_add(&head.fields, &arena, slice_of(name), slice_of(value));
}

static size_t say(char *to, size_t room, const nghttp2_nv *field)
{
    return (size_t)snprintf(to, room, "%.*s=%.*s ", (int)field->namelen, (const char *)field->name,
                            (int)field->valuelen, (const char *)field->value);
}

static void expect_list(const char *expected)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < fields.count; i++) {
        cr_expect_eq(fields.list[i].flags, NGHTTP2_NV_FLAG_NONE);
        length += say(text + length, sizeof(text) - length, &fields.list[i]);
    }
    cr_expect_str_eq(text, expected);
}

static void expect_head(enum http_method asked_with, enum body_framing framing,
                        const char *expected)
{
    cr_assert(h2_write_response_head(&fields, &arena, &head, asked_with, &body));
    expect_list(expected);
    cr_expect_eq(body.framing, framing);
}

TestSuite(h2_writer, .init = start, .fini = clear);

Test(h2_writer, status_comes_first_and_no_phrase)
{
    head.reason_phrase = slice_of("Fine");
    add("x", "y");
    add("x-empty", "");
    expect_head(METHOD_GET, BODY_CHUNKED, ":status=200 x=y x-empty= ");
    head.status = 999;
    expect_head(METHOD_GET, BODY_CHUNKED, ":status=999 x=y x-empty= ");
}

Test(h2_writer, length_as_http1_would_say_it)
{
    head.framing = BODY_LENGTH;
    head.content_length = UINT64_MAX;
    expect_head(METHOD_GET, BODY_LENGTH, ":status=200 content-length=18446744073709551615 ");
    cr_expect_eq(body.length, UINT64_MAX);
    head.framing = BODY_NONE;
    head.content_length = 0;
    expect_head(METHOD_GET, BODY_NONE, ":status=200 content-length=0 ");
    head.framing = BODY_CLOSE;
    expect_head(METHOD_GET, BODY_CHUNKED, ":status=200 ");
}

Test(h2_writer, responses_that_have_no_body)
{
    head.framing = BODY_LENGTH;
    head.content_length = 12;
    expect_head(METHOD_HEAD, BODY_NONE, ":status=200 content-length=12 ");
    head.status = 304;
    expect_head(METHOD_GET, BODY_NONE, ":status=304 content-length=12 ");
    head.status = 204;
    expect_head(METHOD_GET, BODY_NONE, ":status=204 ");
    head.status = 304;
    head.framing = BODY_NONE;
    expect_head(METHOD_GET, BODY_NONE, ":status=304 ");
    head.has_content_length = true;
    expect_head(METHOD_GET, BODY_NONE, ":status=304 content-length=12 ");
    head.status = 200;
    head.framing = BODY_CHUNKED;
    head.has_content_length = false;
    expect_head(METHOD_HEAD, BODY_NONE, ":status=200 ");
}

Test(h2_writer, interim_heads_have_no_length)
{
    head.status = 103;
    head.framing = BODY_NONE;
    add("Link", "</a>");
    expect_head(METHOD_GET, BODY_NONE, ":status=103 Link=</a> ");
}

static void add_fields_of_connections(void)
{
    static const char *const names[] = {
        "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding",
        "Upgrade",    "TE",         "HTTP2-Settings",   "Content-Length",
        "Host",       "Trailer"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        add(names[i], "5");
}

Test(h2_writer, nothing_of_connections)
{
    add_fields_of_connections();
    add("x", "y");
    expect_head(METHOD_GET, BODY_CHUNKED, ":status=200 x=y ");
    head.status = 426;
    head.upgrade = slice_of("websocket");
    expect_head(METHOD_GET, BODY_CHUNKED, ":status=426 x=y ");
}

Test(h2_writer, tunnels_open_with_200)
{
    head.status = 101;
    head.framing = BODY_CLOSE;
    head.upgrade = slice_of("websocket");
    add_fields_of_connections();
    add("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    add("Sec-WebSocket-Protocol", "chat");
    add("Sec-WebSocket-Extensions", "permessage-deflate");
    expect_head(METHOD_GET, BODY_CLOSE,
                ":status=200 Sec-WebSocket-Protocol=chat "
                "Sec-WebSocket-Extensions=permessage-deflate ");
    cr_expect(!body.says_length);
    head.status = 403;
    expect_head(METHOD_GET, BODY_CHUNKED,
                ":status=403 Sec-WebSocket-Accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo= "
                "Sec-WebSocket-Protocol=chat Sec-WebSocket-Extensions=permessage-deflate ");
}

Test(h2_writer, any_number_of_fields)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    for (unsigned i = 0; i < 3 * H2_FIELDS_FEW; i++) {
        head.framing = BODY_LENGTH;
        cr_assert(h2_write_response_head(&fields, &arena, &head, METHOD_GET, &body));
        cr_assert_eq(fields.count, i + 2);
        cr_assert_eq(fields.list[0].namelen, 7);
        for (unsigned j = 0; j < i; j++)
            cr_assert_eq(fields.list[j + 1].name[0], 'a' + j % 26);
        cr_assert_eq(fields.list[i + 1].namelen, 14);
        http_fields_add(&head.fields, &arena, slice_make(letters + i % 26, 1), slice_of("v"));
    }
}

Test(h2_writer, trailers)
{
    cr_assert(h2_write_trailers(&fields, &arena, &head.fields));
    cr_expect_eq(fields.count, 0);
    add_fields_of_connections();
    cr_assert(h2_write_trailers(&fields, &arena, &head.fields));
    cr_expect_eq(fields.count, 0);
    add("Grpc-Status", "0");
    cr_assert(h2_write_trailers(&fields, &arena, &head.fields));
    expect_list("Grpc-Status=0 ");
}

/* --- what a client makes of it --------------------------------------------------------------- */

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                      void *user)
{
    const nghttp2_nv field = {(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_length,
                              value_length, flags};
    size_t length = strlen(text);

    (void)session, (void)frame, (void)user;
    say(text + length, sizeof(text) - length, &field);
    return 0;
}

static int take_invalid_field(nghttp2_session *session, const nghttp2_frame *frame,
                              const uint8_t *name, size_t name_length, const uint8_t *value,
                              size_t value_length, uint8_t flags, void *user)
{
    (void)session, (void)frame, (void)value, (void)value_length, (void)flags, (void)user;
    cr_expect_fail("%.*s is invalid", (int)name_length, (const char *)name);
    return 0;
}

static int take_end(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user)
{
    size_t length = strlen(text);

    (void)session, (void)stream_id, (void)user;
    snprintf(text + length, sizeof(text) - length, "end=%u", error_code);
    return 0;
}

static void pass(nghttp2_session *from, nghttp2_session *to)
{
    const uint8_t *bytes;
    ssize_t length;

    while ((length = nghttp2_session_mem_send(from, &bytes)) > 0)
        cr_assert_eq(nghttp2_session_mem_recv(to, bytes, (size_t)length), length);
    cr_assert_eq(length, 0);
}

/* The response that is in `fields`, and ends with its head, through a client that checks it. */
static void expect_client_reads(const char *expected)
{
    static const nghttp2_nv request[] = {{(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0},
                                         {(uint8_t *)":scheme", (uint8_t *)"https", 7, 5, 0},
                                         {(uint8_t *)":authority", (uint8_t *)"a", 10, 1, 0},
                                         {(uint8_t *)":path", (uint8_t *)"/", 5, 1, 0}};
    nghttp2_session_callbacks *callbacks, *none;
    nghttp2_session *client, *server;

    text[0] = '\0';
    nghttp2_session_callbacks_new(&none);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, take_invalid_field);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, take_end);
    nghttp2_session_client_new(&client, callbacks, NULL);
    nghttp2_session_server_new(&server, none, NULL);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_submit_settings(server, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_submit_request(client, NULL, request, 4, NULL, NULL);
    pass(client, server);
    cr_assert_eq(nghttp2_submit_response(server, 1, fields.list, fields.count, NULL), 0);
    pass(server, client);
    cr_expect_str_eq(text, expected);
    nghttp2_session_del(client);
    nghttp2_session_del(server);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_session_callbacks_del(none);
}

Test(h2_writer, a_client_takes_it_with_names_in_lower_case)
{
    head.framing = BODY_NONE;
    add_fields_of_connections();
    add("Content-Type", "text/Plain");
    add("X-EMPTY", "");
    add("set-Cookie", "a=\xff");
    cr_assert(h2_write_response_head(&fields, &arena, &head, METHOD_GET, &body));
    expect_client_reads(":status=200 content-type=text/Plain x-empty= set-cookie=a=\xff "
                        "content-length=0 end=0");
}
