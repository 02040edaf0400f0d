/* limits.body_rate: clients that keep sending or taking, but too little, and those that only look
 * like it. The gateway judges over 5 s of waiting, so these tests take as long. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

E2E_SUITE(body_rate);

enum { TICK_MS = 200 };

#define POST_A "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: "

/* The pace of a slow peer: whether there is something to read before its next turn. */
static bool is_spoken_to(struct client *client)
{
    return wire_is_readable(&client->wire, TICK_MS);
}

static struct gateway *start_with(struct origin *origin, const char *rate)
{
    return gateway_start("{ @base, 'defaults': { 'limits': { 'body_rate': '%s' } }, "
                         "'routes': { 'a.test': '%s' } }",
                         rate, origin_address(origin));
}

Test(body_rate, sender_that_drips)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "1KiB/s");
    struct client *client = client_open(gateway, "a.test");
    long long start = monitor_now_ms();

    client_send(client, POST_A "100000\r\n\r\n");
    while (!is_spoken_to(client) && monitor_may_ask_again(start))
        client_send(client, "x");
    expect_refusal(client_response(client), 408, "body_timeout");
    client_expect_last(client);
    expect_string(log_entry(gateway, 0), "reason", "body_timeout");
    gateway_stop(gateway);
}

/* 2.5 KiB a second for more than two windows. */
Test(body_rate, sender_that_is_slow_but_fast_enough)
{
    enum { PIECE = 512, PIECES = 55 };
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "1KiB/s");
    struct client *client = client_open(gateway, "a.test");
    char piece[PIECE];

    memset(piece, 'x', sizeof piece);
    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, POST_A "%d\r\n\r\n", PIECE * PIECES);
    for (int i = 0; i < PIECES; i++) {
        client_send_bytes(client, piece, sizeof piece);
        is_spoken_to(client);
    }
    struct message *response = client_response(client);
    expect_status(response, 200);
    cr_assert_eq(response->body_bytes, PIECE * PIECES);
    gateway_stop(gateway);
}

/* The same in records so long that none is whole within a window. */
Test(body_rate, sender_whose_records_take_longer_than_a_window)
{
    needs_http1("it seals TLS records by itself");
    enum { RECORD = 16384, PIECE = 512 };
    static char body[RECORD];
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "1KiB/s");
    struct client *client = client_open(gateway, "a.test");
    BIO *sealed = BIO_new(BIO_s_mem());
    char *bytes;

    memset(body, 'x', sizeof body);
    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, POST_A "%d\r\n\r\n", RECORD);
    BIO_up_ref(sealed);
    SSL_set0_wbio(client->wire.ssl, sealed);
    client_send_bytes(client, body, sizeof body);
    long length = BIO_get_mem_data(sealed, &bytes);
    for (long at = 0; at < length; at += PIECE) {
        size_t piece = length - at < PIECE ? (size_t)(length - at) : PIECE;
        cr_assert_eq(send(client->wire.fd, bytes + at, piece, MSG_NOSIGNAL), (ssize_t)piece);
        is_spoken_to(client);
    }
    BIO_free(sealed);
    struct message *response = client_response(client);
    expect_status(response, 200);
    cr_assert_eq(response->body_bytes, RECORD);
    gateway_stop(gateway);
}

/* Until it is cut; what had come in the meantime is not the whole. */
Test(body_rate, taker_that_sips)
{
    static uint64_t bytes = 64 << 20;
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "256KiB/s");
    struct client *client =
        client_open_with(gateway_https(gateway),
                         &(struct client_options){.sni = "a.test", .has_small_window = true});
    long long start = monitor_now_ms();

    origin_set_script(origin, NULL, origin_send_pattern, &bytes);
    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert_eq(client_response_head(client)->status, 200);
    while (strstr(gateway_stdout(gateway), "body_timeout") == NULL &&
           monitor_may_ask_again(start)) {
        if (!wire_fill(&client->wire))
            break;
        wire_take(&client->wire, wire_held(&client->wire));
        poll(NULL, 0, TICK_MS);
    }
    json_t *entry = log_entry(gateway, 0);
    expect_number(entry, "status", 200);
    expect_string(entry, "reason", "body_timeout");
    enum wire_end end = client_read_to_end(client);
    cr_assert(end == WIRE_RESET || end == WIRE_CUT, "a cut body ended with %d", end);
    gateway_stop(gateway);
}

static void send_slowly(struct origin_turn *turn)
{
    enum { PIECES = 40 };

    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", PIECES);
    for (int i = 0; i < PIECES; i++) {
        wire_write(turn->wire, "x", 1);
        poll(NULL, 0, TICK_MS);
    }
}

Test(body_rate, slow_backend_is_not_the_clients_fault)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = start_with(origin, "1MiB/s");

    origin_set_script(origin, NULL, send_slowly, NULL);
    struct message *response = fetch(gateway, "a.test", "/");
    expect_status(response, 200);
    cr_assert_eq(response->body_bytes, 40);
    gateway_stop(gateway);
}
