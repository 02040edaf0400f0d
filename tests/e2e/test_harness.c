/* The harness against itself: what the other tests lean on must not be what breaks. */
#include "harness/command.h"
#include "harness/curl_client.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/protocol.h"
#include "harness/request_text.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/delay_relay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(harness);

Test(harness, origin_answers_and_records)
{
    struct origin *origin = origin_start("one");
    struct client *client = client_open_plain(origin_address(origin));

    expect_from(client_get(client, "x.test", "/a?b"), "one");
    expect_from(client_get(client, "x.test", "/c"), "one");
    cr_assert_str_eq(origin_request(origin, 0)->target, "/a?b");
    cr_assert_eq(origin_request(origin, 1)->place, 1);
    cr_assert_eq(origin_connections(origin), 1);
}

Test(harness, origin_echoes_chunks_and_trailers)
{
    struct origin *origin = origin_start("one");
    struct client *client = client_open_plain(origin_address(origin));

    origin_set_script(origin, "/echo", origin_echo, NULL);
    client_send(client, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n");
    struct message *response = client_response(client);
    expect_body(response, "abcde");
    cr_assert_eq(response->framing, FRAMING_CHUNKED);
    cr_assert_str_eq(message_trailer(response, "t"), "v");
}

Test(harness, origin_speaks_with_curl)
{
    struct origin *origin = origin_start("one");
    struct command *command = COMMAND("curl", "-s", text("http://%s/x", origin_address(origin)));

    command_expect(command, 0);
    command_says(command, "GET /x HTTP/1.1");
}

Test(harness, origin_stops_and_restarts)
{
    struct origin *origin = origin_start("one");
    struct client *client = client_open_plain(origin_address(origin));

    expect_from(client_get(client, "x", "/"), "one");
    origin_stop(origin);
    client_expect_end(client);
    cr_assert_lt(wire_dial(origin_address(origin), false), 0);
    origin_restart(origin);
    expect_from(client_get(client_open_plain(origin_address(origin)), "x", "/"), "one");
}

Test(harness, pattern_shows_a_moved_byte)
{
    char piece[3000];

    memcpy(piece, pattern_at(5000000000ULL), sizeof piece);
    cr_assert(pattern_matches(5000000000ULL, piece, sizeof piece));
    cr_assert(!pattern_matches(5000000001ULL, piece, sizeof piece));
    cr_assert(!pattern_matches(5000000000ULL + 65536, piece, sizeof piece));
}

Test(harness, certificates_are_what_openssl_takes)
{
    struct cert *cert =
        cert_make(&(struct cert_options){.names = "r.test, 1.2.3.4", .kind = CERT_RSA});

    cert_write_chain(cert, workplace_path("r.crt"));
    cert_write_ocsp(cert, workplace_path("r.ocsp"));
    command_expect(
        COMMAND("openssl", "verify", "-CAfile", workplace_path("ca.pem"), workplace_path("r.crt")),
        0);
    struct command *command =
        COMMAND("openssl", "ocsp", "-respin", workplace_path("r.ocsp"), "-text", "-noverify");
    command_says(command, "Cert Status: good");
}

Test(harness, route_file_is_json)
{
    const char *path = route_file("routes.json", "{ @base, 'routes': { '*': '%s' } }", "x:1");
    json_t *routes = json_from(workplace_read(path));

    expect_string(routes, "certs", "certs");
    expect_string(routes, "routes.*", "x:1");
}

static void end_relay(void *relay)
{
    delay_relay_stop(relay);
}

static struct delay_relay *start_relay(struct origin *origin, unsigned delay_ms)
{
    struct delay_options options = {.to = origin_address(origin), .delay_ms = delay_ms};

    return workplace_own(delay_relay_start(&options), end_relay);
}

Test(harness, relay_delivers_late_and_in_order)
{
    struct origin *origin = origin_start("one");
    struct delay_relay *relay = start_relay(origin, 25);
    uint64_t size = 20 << 20;

    origin_set_script(origin, "/down", origin_send_pattern, &size);
    struct client *client = client_open_plain(delay_relay_address(relay));
    long long start = monitor_now_ms();
    client_send(client, "GET /down HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct message *response = client_response(client);
    /* No upper bound: how late is the machine's to say. */
    cr_assert_geq(monitor_now_ms() - start, 49);
    expect_status(response, 200);
    cr_assert(response->body_is_pattern);
    cr_assert_eq(response->body_bytes, size);
    wire_half_close(&client->wire);
    client_expect_end(client);
}

Test(harness, relay_keeps_and_counts_what_is_on_its_way)
{
    struct origin *origin = origin_start("one");
    struct delay_relay *relay = start_relay(origin, 0);
    struct client *client = client_open_plain(delay_relay_address(relay));
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    long long start = monitor_now_ms();

    origin_set_reply(origin, "/", answer);
    expect_body(client_get(client, "x", "/"), "hello");
    delay_relay_set_delay(relay, DELAY_BACK, DELAY_FOREVER);
    delay_relay_forget(relay);
    cr_assert_eq(delay_relay_most_in_flight(relay, DELAY_BACK), 0);
    for (size_t i = 1; i <= 3; i++) {
        client_send(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        while (delay_relay_in_flight(relay, DELAY_BACK) < i * strlen(answer))
            workplace_require(monitor_may_ask_again(start), "the answer never came");
    }
    cr_assert_eq(delay_relay_in_flight(relay, DELAY_BACK), 3 * strlen(answer));
    delay_relay_set_delay(relay, DELAY_BACK, 0);
    for (int i = 0; i < 3; i++)
        expect_body(client_response(client), "hello");
    cr_assert_eq(delay_relay_most_in_flight(relay, DELAY_BACK), 3 * strlen(answer));
}

Test(harness, relay_passes_resets_on)
{
    struct origin *origin = origin_start("one");
    struct delay_relay *relay = start_relay(origin, 1);
    struct client *client = client_open_plain(delay_relay_address(relay));

    expect_from(client_get(client, "x", "/"), "one");
    wire_reset(&client->wire);
    origin_wait_open_connections(origin, 0);
}

Test(harness, relay_takes_nothing_where_it_is_blocked)
{
    struct origin *origin = origin_start("one");
    struct delay_relay *relay = start_relay(origin, 0);
    struct client *client = client_open_plain(delay_relay_address(relay));

    delay_relay_block(relay, DELAY_FORTH, true);
    client_send(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_from(client_get(client_open_plain(origin_address(origin)), "x", "/"), "one");
    cr_assert_eq(delay_relay_most_in_flight(relay, DELAY_FORTH), 0);
    delay_relay_block(relay, DELAY_FORTH, false);
    expect_from(client_response(client), "one");
    cr_assert_eq(origin_requests(origin), 2);
}

/* --- HTTP/2 below what speaks HTTP/1.1 -----------------------------------------------------------
 */

/* What requests mean that are put in pieces of that length. */
static char *read_requests(const char *bytes, size_t piece)
{
    struct request_text read = {.state = TEXT_HEAD};
    char *told = text("%s", "");
    size_t length = strlen(bytes);

    for (size_t at = 0; at < length; at += piece) {
        request_text_put(&read, bytes + at, length - at < piece ? length - at : piece);
        for (enum text_part part; (part = request_text_next(&read)) != PART_NONE;) {
            cr_assert_neq(part, PART_UNSAYABLE);
            if (part == PART_HEAD)
                told = text("%s%s %s:", told, read.head->method, read.head->target);
            else if (part == PART_PIECE)
                told = text("%s%.*s", told, (int)read.piece_bytes, read.piece);
            else
                told = text("%s(%d)", told, read.trailers.count);
        }
    }
    request_text_clear(&read);
    return told;
}

Test(harness, requests_mean_the_same_in_pieces)
{
    static const char bytes[] =
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\nU: w\r\n\r\n"
        "POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        "GET /5 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        "GET / HTTP/1.1\r\n\r\n";

    for (size_t piece = 1; piece < sizeof bytes; piece++)
        cr_assert_str_eq(read_requests(bytes, piece),
                         "GET /1:(0)POST /2:hello(0)PUT /3:abcde(2)POST /4:(0)"
                         "GET /5:GET / HTTP/1.1\r\n\r\n");
}

Test(harness, clients_speak_http_2_where_the_run_does)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");

    setenv("SALLYPORT_TEST_PROTOCOL", "h2", 1);
    expect_status(fetch(gateway, "a.test", "/"), 200);
    curl_client_do(curl_client_new(gateway_https(gateway), "a.test"), NULL, "/", 0);
    struct client *other = client_open_with(
        gateway_https(gateway), &(struct client_options){.sni = "a.test", .is_http1 = true});
    expect_status(client_get(other, "a.test", "/"), 200);
    expect_string(log_entry(gateway, 0), "proto", protocol_name());
    expect_string(log_entry(gateway, 1), "proto", protocol_name());
    expect_string(log_entry(gateway, 2), "proto", "HTTP/1.1");
    gateway_stop(gateway);
}

Test(harness, clients_do_not_fall_back_to_http_1)
{
    struct gateway *gateway = gateway_start(
        "{ @base, 'tls': { 'alpn': ['http/1.1'] }, 'routes': { '*': { 'respond': {} } } }");

    setenv("SALLYPORT_TEST_PROTOCOL", "h2", 1);
    struct client *client =
        client_try(gateway_https(gateway), &(struct client_options){.sni = "a.test"});
    cr_assert(!client->is_connected);
    cr_assert_eq(client->alert, SSL_AD_NO_APPLICATION_PROTOCOL);
    gateway_stop(gateway);
}
