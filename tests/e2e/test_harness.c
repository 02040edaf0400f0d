/* The harness against itself: what the other tests lean on must not be what breaks. */
#include "harness/command.h"
#include "harness/curl_client.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
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
