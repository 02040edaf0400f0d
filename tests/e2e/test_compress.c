/* Answers that are compressed on their way: in each coding, for whom, when not, and what their
 * heads say then. Taken apart by the libraries, and by the programs that people have. */
#include "harness/command.h"
#include "harness/fault_board.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/decoder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

E2E_SUITE(compress);

static const char *const codings[] = {"gzip", "br", "zstd"};

#define HTML        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
#define TEXT_LENGTH 3000

/* So many bytes that are worth compressing. */
static const char *long_text(void)
{
    static char bytes[TEXT_LENGTH + 1];

    for (int i = 0; i < TEXT_LENGTH; i++)
        bytes[i] = (char)('a' + i * i % 23);
    return bytes;
}

static struct gateway *start_with(struct origin *origin, const char *compress)
{
    return gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'compress': %s } } }",
                         origin_address(origin), compress);
}

#define ALL "['zstd', 'br', 'gzip']"

/* What a path answers: head lines beyond HTML, and long_text with its length. */
static void answer_text(struct origin *origin, const char *path, const char *head)
{
    origin_set_reply(origin, path,
                     text(HTML "%sContent-Length: %d\r\n\r\n%s", head, TEXT_LENGTH, long_text()));
}

static void ask(struct client *client, const char *method, const char *path, const char *accepts,
                const char *more)
{
    client_send(client, "%s %s HTTP/1.1\r\nHost: a.test\r\n%s%s%s%s\r\n", method, path,
                accepts ? "Accept-Encoding: " : "", accepts ? accepts : "", accepts ? "\r\n" : "",
                more);
}

static struct message *get(struct client *client, const char *path, const char *accepts)
{
    ask(client, "GET", path, accepts, "");
    return client_response(client);
}

static struct decoder *new_decoder(const char *coding)
{
    return workplace_own(decoder_new(coding), decoder_free);
}

/* The whole response has that body in that coding. */
static void expect_coded(struct message *response, const char *coding, const char *body,
                         size_t length)
{
    struct decoder *decoder = new_decoder(coding);
    size_t got;

    cr_assert_eq(response->status, 200, "%s", response->head);
    cr_assert(response->is_complete, "%s", response->head);
    expect_field(response, "content-encoding", coding);
    cr_assert(decoder_add(decoder, response->body, response->body_stored), "%s", coding);
    cr_assert(decoder_is_whole(decoder), "%s", coding);
    cr_assert(strncmp(decoder_content(decoder, &got), body, length) == 0);
    cr_assert_eq(got, length);
}

static void expect_as_it_is(struct message *response, const char *body)
{
    expect_status(response, 200);
    expect_no_field(response, "content-encoding");
    expect_body(response, body);
}

Test(compress, each_coding_comes_apart_again)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/length", "ETag: \"x\"\r\nAccept-Ranges: bytes\r\nContent-MD5: y\r\n");
    origin_set_reply(origin, "/chunked",
                     text(HTML "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                          TEXT_LENGTH, long_text()));
    origin_set_last_reply(origin, "/close", text(HTML "\r\n%s", long_text()));
    for (int i = 0; i < 3; i++) {
        struct message *response = get(client, "/length", codings[i]);
        expect_coded(response, codings[i], long_text(), TEXT_LENGTH);
        cr_assert_lt(response->body_bytes, TEXT_LENGTH);
        expect_field(response, "vary", "Accept-Encoding");
        expect_field(response, "etag", "W/\"x\"");
        expect_no_field(response, "content-length");
        expect_no_field(response, "accept-ranges");
        expect_no_field(response, "content-md5");
        expect_coded(get(client, "/chunked", codings[i]), codings[i], long_text(), TEXT_LENGTH);
        expect_coded(get(client, "/close", codings[i]), codings[i], long_text(), TEXT_LENGTH);
        expect_field(origin_last_request(origin), "accept-encoding", codings[i]);
    }
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, clients_get_what_they_can_read)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/", "ETag: \"x\"\r\nVary: Cookie\r\n");
    static const char *const plain[] = {NULL, "deflate", "gzip;q=0", "identity, gzip;q=0.5"};
    for (int i = 0; i < 4; i++) {
        struct message *response = get(client, "/", plain[i]);
        expect_as_it_is(response, long_text());
        expect_field(response, "vary", "Cookie, Accept-Encoding");
        expect_field(response, "etag", "\"x\"");
        expect_field(response, "content-length", text("%d", TEXT_LENGTH));
    }
    expect_coded(get(client, "/", "gzip, deflate, br"), "br", long_text(), TEXT_LENGTH);
    expect_coded(get(client, "/", "gzip, deflate, br, zstd"), "zstd", long_text(), TEXT_LENGTH);
    expect_coded(get(client, "/", "br;q=0.1, gzip;q=0.2"), "gzip", long_text(), TEXT_LENGTH);
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, what_stays_as_it_is)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");
    const char *body = long_text();

    origin_set_reply(origin, "/small", HTML "Content-Length: 5\r\n\r\nhello");
    origin_set_reply(origin, "/image",
                     text("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
                          "%s",
                          TEXT_LENGTH, body));
    answer_text(origin, "/no-transform", "Cache-Control: no-transform\r\n");
    answer_text(origin, "/text", "");
    expect_as_it_is(get(client, "/small", "gzip"), "hello");
    expect_as_it_is(get(client, "/image", "gzip"), body);
    struct message *response = get(client, "/no-transform", "gzip");
    expect_as_it_is(response, body);
    expect_no_field(response, "vary");
    ask(client, "GET", "/text", "gzip", "Cache-Control: no-transform\r\n");
    response = client_response(client);
    expect_as_it_is(response, body);
    expect_field(response, "vary", "Accept-Encoding");
    client_close(client);
    gateway_stop(gateway);
}

/* Not a second time; and nobody takes it apart. */
Test(compress, what_is_encoded_already)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "{ 'types': ['*/*'], 'min_size': 0 }");
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/",
                     HTML
                     "Content-Encoding: gzip\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\nhello");
    struct message *response = get(client, "/", "zstd, gzip");
    expect_status(response, 200);
    expect_field(response, "content-encoding", "gzip");
    expect_field(response, "etag", "\"x\"");
    expect_body(response, "hello");
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, ranges_are_of_the_backends_bytes)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "{ 'min_size': 0 }");
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/",
                     "HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nETag: \"x\"\r\n"
                     "Content-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello");
    ask(client, "GET", "/", "gzip", "Range: bytes=0-4\r\n");
    struct message *response = client_response(client);
    cr_assert_eq(response->status, 206);
    expect_no_field(response, "content-encoding");
    expect_field(response, "etag", "\"x\"");
    expect_body(response, "hello");
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, head_says_what_get_would)
{
    static const char *const names[] = {"content-type", "content-encoding", "vary",
                                        "etag",         "content-length",   "accept-ranges"};
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/", "ETag: \"x\"\r\nAccept-Ranges: bytes\r\n");
    for (int i = 0; i < 4; i++) {
        const char *accepts = i < 3 ? codings[i] : "identity";
        struct message *whole = get(client, "/", accepts);

        ask(client, "HEAD", "/", accepts, "");
        struct message *head = client_response_to(client, "HEAD");
        expect_status(head, 200);
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            const char *value = message_field(whole, names[n]);
            if (value == NULL)
                expect_no_field(head, names[n]);
            else
                expect_field(head, names[n], value);
        }
        cr_assert_eq(head->body_bytes, 0);
    }
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, unchanged_names_the_tag_that_the_client_has)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
    ask(client, "GET", "/", "gzip", "If-None-Match: W/\"x\"\r\n");
    struct message *response = client_response(client);
    cr_assert_eq(response->status, 304);
    expect_field(response, "etag", "W/\"x\"");
    expect_field(origin_last_request(origin), "if-none-match", "W/\"x\"");
    ask(client, "GET", "/", "gzip", "If-None-Match: \"x\"\r\n");
    expect_field(client_response(client), "etag", "\"x\"");
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, trailers_pass_but_for_digests)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct client *client = client_open(gateway, "a.test");

    origin_set_reply(origin, "/",
                     HTML "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
                          "X-End: yes\r\nRepr-Digest: no\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        struct message *response = get(client, "/", codings[i]);
        expect_coded(response, codings[i], "hello", 5);
        cr_assert_str_eq(message_trailer(response, "x-end"), "yes");
        cr_assert_null(message_trailer(response, "repr-digest"));
    }
    client_close(client);
    gateway_stop(gateway);
}

Test(compress, http_1_0_reads_to_the_end)
{
    needs_http1("HTTP/1.0");
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);

    answer_text(origin, "/", "");
    for (int i = 0; i < 3; i++) {
        struct client *client = client_open(gateway, "a.test");
        client_send(client, "GET / HTTP/1.0\r\nHost: a.test\r\nAccept-Encoding: %s\r\n\r\n",
                    codings[i]);
        expect_coded(client_response(client), codings[i], long_text(), TEXT_LENGTH);
        client_close(client);
    }
    gateway_stop(gateway);
}

/* --- as it comes --------------------------------------------------------------------------------
 */

/* One chunk of what comes; false: that was the last. */
static bool read_chunk(struct client *client, struct decoder *decoder)
{
    struct wire *wire = &client->wire;
    const char *end = NULL;
    size_t length, line;

    while ((end = wire_held(wire) > 0 ? memchr(wire_bytes(wire), '\n', wire_held(wire)) : NULL) ==
           NULL)
        workplace_require(wire_fill(wire), "no chunk comes");
    line = (size_t)(end - wire_bytes(wire)) + 1;
    length = strtoul(wire_bytes(wire), NULL, 16);
    while (wire_held(wire) < line + length + 2)
        workplace_require(wire_fill(wire), "a chunk is cut");
    cr_assert(decoder_add(decoder, wire_bytes(wire) + line, length));
    wire_take(wire, line + length + 2);
    return length > 0;
}

/* One event, and the next once the client has had it. */
static void send_events(struct origin_turn *turn)
{
    struct gate **gates = turn->arg;

    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        wire_print(turn->wire, "data: event %d\n\n", i);
        if (!gate_wait(gates[i]))
            return;
    }
}

Test(compress, events_come_as_they_happen)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    struct gate *gates[9];
    char expected[64];

    for (int i = 0; i < 9; i++)
        gates[i] = gate_new();
    for (int c = 0; c < 3; c++) {
        struct client *client = client_open(gateway, "a.test");
        struct decoder *decoder = new_decoder(codings[c]);
        int length = 0;
        size_t got;

        origin_set_script(origin, "/events", send_events, gates + 3 * c);
        ask(client, "GET", "/events", codings[c], "");
        expect_field(client_response_head(client), "content-encoding", codings[c]);
        for (int i = 0; i < 3; i++) {
            length += snprintf(expected + length, sizeof expected - (size_t)length,
                               "data: event %d\n\n", i);
            while (decoder_content(decoder, &got), got < (size_t)length)
                cr_assert(read_chunk(client, decoder));
            cr_assert_str_eq(decoder_content(decoder, &got), expected);
            gate_open(gates[3 * c + i]);
        }
        while (read_chunk(client, decoder))
            continue;
        cr_assert(decoder_is_whole(decoder));
        client_close(client);
    }
    gateway_stop(gateway);
}

/* --- cuts ---------------------------------------------------------------------------------------
 */

/* What came before it is there; its end is not, in neither sense. */
static void expect_cut(struct message *response, const char *coding, const char *body)
{
    struct decoder *decoder = new_decoder(coding);
    size_t got;

    cr_assert_eq(response->status, 200);
    cr_assert(!response->is_complete, "%s", response->head);
    expect_field(response, "content-encoding", coding);
    cr_assert(decoder_add(decoder, response->body, response->body_stored));
    cr_assert(!decoder_is_whole(decoder));
    /* A reset may overtake bytes, never add any. */
    cr_assert(strncmp(decoder_content(decoder, &got), body, got) == 0);
    cr_assert_leq(got, strlen(body));
}

Test(compress, cut_is_never_an_end)
{
    static const char *const heads[] = {"Content-Length: 4000", "Transfer-Encoding: chunked"};
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);

    for (int i = 0; i < 3; i++)
        for (int h = 0; h < 2; h++) {
            struct client *client = client_open(gateway, "a.test");
            origin_set_last_reply(
                origin, "/",
                text(HTML "%s\r\n\r\n%s%s", heads[h], h == 0 ? "" : "fa0\r\n", long_text()));
            expect_cut(get(client, "/", codings[i]), codings[i], long_text());
            client_close(client);
            expect_string(log_entry(gateway, 2 * i + h), "reason", "backend_reset");
        }
    gateway_stop(gateway);
}

/* --- much ---------------------------------------------------------------------------------------
 */

enum { LONG = 10 << 20 };

/* Text without much sense, of so many bytes. */
static char *make_text(size_t length)
{
    char *bytes = workplace_own(malloc(length + 1), free);
    uint32_t state = 1;

    for (size_t i = 0; i < length; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (char)(i % 9 == 8 ? ' ' : 'a' + (state >> 27) % 20);
    }
    bytes[length] = '\0';
    return bytes;
}

static void send_long(struct origin_turn *turn)
{
    size_t length = strlen(turn->arg);

    wire_print(turn->wire, HTML "Content-Length: %zu\r\n\r\n", length);
    wire_write(turn->wire, turn->arg, length);
}

static void send_long_chunked(struct origin_turn *turn)
{
    const char *bytes = turn->arg;
    size_t left = strlen(bytes);

    wire_print(turn->wire, HTML "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t length = 1; left > 0; length = length * 5 % 70001) {
        size_t piece = length < left ? length : left;
        wire_print(turn->wire, "%zx\r\n", piece);
        wire_write(turn->wire, bytes, piece);
        wire_print(turn->wire, "\r\n");
        bytes += piece;
        left -= piece;
    }
    wire_print(turn->wire, "0\r\n\r\n");
}

/* curl takes it apart by itself; then what it gets as it is, by the program of that coding. */
static void check_by_programs(struct gateway *gateway, const char *coding, const char *path,
                              const char *original)
{
    int port = gateway_port(gateway, "https");
    const char *program = strcmp(coding, "br") == 0 ? "brotli" : coding;
    const char *http = speaks_h2() ? "--http2" : "--http1.1";
    const char *curl = text("curl -sSf --noproxy '*' %s --cacert %s --resolve a.test:%d:127.0.0.1 "
                            "-H 'Accept-Encoding: %s' https://a.test:%d%s",
                            http, workplace_path("ca.pem"), port, coding, port, path);

    command_expect(
        COMMAND("bash", "-o", "pipefail", "-c", text("%s --compressed | cmp - %s", curl, original)),
        0);
    command_expect(COMMAND("bash", "-o", "pipefail", "-c",
                           text("%s | tee %s | %s -dc | cmp - %s", curl, workplace_path("coded"),
                                program, original)),
                   0);
    command_expect(COMMAND("bash", "-c",
                           text("test $(stat -c %%s %s) -lt $(($(stat -c %%s %s) * 3 / 4))",
                                workplace_path("coded"), original)),
                   0);
}

Test(compress, programs_agree)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    char *bytes = make_text(LONG);
    const char *original = workplace_path("original");

    workplace_write(original, bytes, LONG);
    origin_set_script(origin, "/length", send_long, bytes);
    origin_set_script(origin, "/chunked", send_long_chunked, bytes);
    for (int i = 0; i < 3; i++)
        check_by_programs(gateway, codings[i], i == 1 ? "/length" : "/chunked", original);
    gateway_stop(gateway);
}

/* A client that takes nothing keeps the backend waiting, and little of its answer here, while
 * another one gets as much. */
Test(compress, slow_clients_take_little_memory)
{
    enum { CLIENTS = 3, ALLOWED_KIB = CLIENTS * 3 * 1024 };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, ALL);
    char *bytes = make_text(LONG / 2);
    struct client *clients[CLIENTS], *fast = client_open(gateway, "a.test");
    long before;

    origin_set_script(origin, "/", send_long_chunked, bytes);
    expect_status(get(fast, "/", "zstd"), 200);
    before = gateway_rss_kib(gateway);
    gateway_forget_peak(gateway);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] =
            client_open_with(gateway_https(gateway),
                             &(struct client_options){.sni = "a.test", .has_small_window = true});
        ask(clients[i], "GET", "/", codings[i], "");
        client_response_head(clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        expect_status(get(fast, "/", codings[i]), 200);
    if (!gateway_is_sanitized(gateway))
        cr_assert_lt(gateway_peak_kib(gateway) - before, ALLOWED_KIB);
    for (int i = 0; i < CLIENTS; i++) {
        struct decoder *decoder = new_decoder(codings[i]);
        size_t got = 0;

        while (got < LONG / 20) {
            cr_assert(read_chunk(clients[i], decoder));
            decoder_content(decoder, &got);
        }
        cr_assert(strncmp(decoder_content(decoder, &got), bytes, got) == 0);
        client_close(clients[i]);
    }
    client_close(fast);
    gateway_stop(gateway);
}

/* --- tunnels ------------------------------------------------------------------------------------
 */

Test(compress, tunnels_are_left_alone)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "{ 'min_size': 0, 'types': ['*/*'] }");
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    client_send(client, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip\r\n\r\nhello");
    struct message *response = client_response(client);
    cr_assert_eq(response->status, 101, "%s", response->head);
    expect_no_field(response, "content-encoding");
    while (wire_held(&client->wire) < 5)
        workplace_require(wire_fill(&client->wire), "nothing comes back");
    cr_assert(memcmp(wire_bytes(&client->wire), "hello", 5) == 0);
    client_close(client);
    gateway_stop(gateway);
}

/* --- settings -----------------------------------------------------------------------------------
 */

Test(compress, what_a_route_says)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'compress': { 'codings': ['gzip', 'br'], 'min_size': '4KiB' } },"
        "  'routes': { 'a.test': { 'compress': { 'min_size': 1 }, 'paths': {"
        "     '/': { 'to': '%s' },"
        "     '/off': { 'to': '%s', 'compress': null },"
        "     '/json': { 'to': '%s', 'compress': { 'types': ['application/json'] } },"
        "     '/list': { 'to': '%s', 'compress': ['br'] } } } } }",
        origin_address(origin), origin_address(origin), origin_address(origin),
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/", "");
    answer_text(origin, "/off", "");
    answer_text(origin, "/json", "");
    answer_text(origin, "/list", "");
    expect_coded(get(client, "/", "gzip, br, zstd"), "gzip", long_text(), TEXT_LENGTH);
    struct message *response = get(client, "/off", "gzip, br, zstd");
    expect_as_it_is(response, long_text());
    expect_no_field(response, "vary");
    expect_as_it_is(get(client, "/json", "gzip"), long_text());
    expect_coded(get(client, "/list", "gzip, br"), "br", long_text(), TEXT_LENGTH);
    expect_as_it_is(get(client, "/list", "gzip"), long_text());
    client_close(client);
    gateway_stop(gateway);
}

/* One fetch for all, whatever each can read; and what is kept is the backend's. */
Test(compress, what_is_kept_reaches_each_as_it_can_be_read)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'cache': { 'size': '1MiB' },"
                      "                                 'compress': " ALL " } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/", "Cache-Control: max-age=600\r\nETag: \"x\"\r\n");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            expect_coded(get(client, "/", codings[i]), codings[i], long_text(), TEXT_LENGTH);
        struct message *response = get(client, "/", NULL);
        expect_as_it_is(response, long_text());
        expect_field(response, "etag", "\"x\"");
        expect_field(response, "vary", "Accept-Encoding");
    }
    ask(client, "GET", "/", "gzip", "If-None-Match: W/\"x\"\r\n");
    struct message *response = client_response(client);
    cr_assert_eq(response->status, 304, "%s", response->head);
    expect_field(response, "etag", "W/\"x\"");
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

/* A kept body is compressed once; whoever comes later gets what came out, with its length. */
Test(compress, what_was_compressed_is_kept_beside_it)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': { 'to': '%s', 'cache': { 'size': '1MiB' },"
                      "                                 'compress': " ALL " } } }",
                      origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    answer_text(origin, "/", "Cache-Control: max-age=600\r\n");
    expect_as_it_is(get(client, "/", NULL), long_text());
    for (int i = 0; i < 3; i++) {
        struct message *made = get(client, "/", codings[i]);
        expect_coded(made, codings[i], long_text(), TEXT_LENGTH);
        cr_expect_null(message_field(made, "content-length"), "%s", codings[i]);
        struct message *kept = get(client, "/", codings[i]);
        expect_coded(kept, codings[i], long_text(), TEXT_LENGTH);
        cr_expect_not_null(message_field(kept, "content-length"), "%s", codings[i]);
        cr_expect_null(message_field(get(client, "/", NULL), "content-encoding"));
    }
    cr_assert_eq(origin_requests(origin), 1);
    client_close(client);
    gateway_stop(gateway);
}

/* --- under pressure -----------------------------------------------------------------------------
 */

static long decisions(const char *outcome)
{
    const char *series = text("sallyport_policy_decisions_total{policy=\"compress\","
                              "route=\"a.test\",outcome=\"%s\"} ",
                              outcome);
    const char *at = strstr(ask_admin("GET", "/metrics")->body, series);

    return at != NULL ? strtol(at + strlen(series), NULL, 10) : 0;
}

Test(compress, a_worker_that_is_busy_does_without)
{
    struct origin *origin = origin_start("one");
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'routes': { 'a.test': { 'to': '%s', 'compress': %s } } }",
                             origin_address(origin), ALL),
        .faults = faults});
    struct client *client = client_open(gateway, "a.test");
    long long start = monitor_now_ms();
    struct message *response;
    long compressed = 1;

    answer_text(origin, "/", "");
    expect_coded(get(client, "/", "gzip"), "gzip", long_text(), TEXT_LENGTH);
    atomic_store(&faults->threads_are_busy, 1);
    while (message_field(response = get(client, "/", "gzip"), "content-encoding") != NULL) {
        compressed++;
        workplace_require(monitor_may_ask_again(start), "it goes on compressing");
    }
    expect_as_it_is(response, long_text());
    expect_field(response, "vary", "Accept-Encoding");
    cr_assert_eq(decisions("applied"), compressed);
    cr_assert_eq(decisions("bypassed"), 1);
    client_close(client);
    gateway_stop(gateway);
}
