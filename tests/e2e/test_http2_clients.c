/* The clients people use over HTTP/2, as they are installed: curl, nghttp, h2load, node's http2.
 * Chromium's part is scripts/test-browser. */
#include "harness/background.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/test_certs.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(http2_clients);

enum { PATTERN_BYTES = 8 * 1024 * 1024 };

static struct origin *near, *far; /* for what ends at once, and for what does not */
static struct gateway *gateway;

static bool is_missing(const char *program)
{
    if (command_exists(program))
        return false;
    fprintf(stderr, "skipped: %s is not installed\n", program);
    return true;
}

static const char *write_pattern(void)
{
    char *bytes = malloc(PATTERN_BYTES);

    for (size_t at = 0; at < PATTERN_BYTES; at += PATTERN_PIECE)
        memcpy(bytes + at, pattern_at(at), PATTERN_PIECE);
    workplace_write(workplace_path("pattern"), bytes, PATTERN_BYTES);
    free(bytes);
    return workplace_path("pattern");
}

/* --- what the backends answer -------------------------------------------------------------------
 */

static void count_body(struct origin_turn *turn)
{
    const char *how = "wrong";

    if (!origin_read_body(turn))
        return;
    if (turn->request->body_is_pattern)
        how = "as they should be";
    char *told = NULL;
    int length =
        asprintf(&told, "%llu bytes %s", (unsigned long long)turn->request->body_bytes, how);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, told);
    free(told);
}

/* Begins, and sees the gateway leave. */
static void send_endlessly(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun");
    while (wire_fill(turn->wire))
        wire_take(turn->wire, wire_held(turn->wire));
}

static void tell_once_all_are_gone(struct origin_turn *turn)
{
    long long start = monitor_now_ms();
    const char *what = "gone";

    while (origin_open_connections(far) > 0)
        if (!monitor_may_ask_again(start)) {
            what = "still there";
            break;
        }
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(what), what);
}

static void start(void)
{
    static const uint64_t pattern_bytes = PATTERN_BYTES;

    near = origin_start("near");
    far = origin_start("far");
    origin_set_script(near, "/echo", origin_echo, NULL);
    origin_set_script(near, "/count", count_body, NULL);
    origin_set_script(near, "/pattern", origin_send_pattern, (void *)&pattern_bytes);
    origin_set_script(near, "/tunnel", origin_upgrade_echo, NULL);
    origin_set_script(near, "/gone", tell_once_all_are_gone, NULL);
    origin_set_script(far, "/endless", send_endlessly, NULL);
    origin_set_reply(near, "/hints",
                     "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhinted");
    origin_set_reply(near, "/sums",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                     "4\r\nsums\r\n0\r\nX-Sum: 42\r\n\r\n");
    origin_set_reply(near, "/empty", "HTTP/1.1 204 No Content\r\n\r\n");
    origin_set_last_reply(near, "/cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
    gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'paths': { '/': '%s', "
                            "'=/endless': '%s', '=/small': { 'to': '%s', 'max_body': '1KiB' } } }, "
                            "'*': '%s' } }",
                            origin_address(near), origin_address(far), origin_address(near),
                            origin_address(near));
}

static void sized_head(struct origin_turn *turn)
{
    bool is_head = strcmp(turn->request->method, "HEAD") == 0;

    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s",
               is_head ? "" : "sized");
}

/* Every line that the gateway has logged until now tells of HTTP/2. */
static void expect_http2_alone(int requests)
{
    for (int i = 0; i < requests; i++)
        expect_string(log_entry(gateway, i), "proto", "HTTP/2.0");
}

/* --- curl ---------------------------------------------------------------------------------------
 */

#define CURL_SAYS "\n%{http_version} %{http_code} %{num_connects}\n"
/* With the host, the port and the CA of these tests; the rest is the test's. */
#define CURL(...)                                                                             \
    COMMAND("curl", "-sS", "--http2", "--noproxy", "*", "--cacert", workplace_path("ca.pem"), \
            "--connect-to", text("::127.0.0.1:%d", gateway_port(gateway, "https")), "-w",     \
            CURL_SAYS, __VA_ARGS__)

static void curl_tells(const struct command *command, const char *told)
{
    command_expect(command, 0);
    cr_assert_str_eq(command->out, told, "%s", command->err);
}

Test(http2_clients, curl)
{
    if (is_missing("curl"))
        return;
    start();
    origin_set_reply(near, "/one", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    origin_set_script(near, "/sized", sized_head, NULL);
    curl_tells(CURL("https://a.test/one", "https://a.test/one"), "one\n2 200 1\none\n2 200 0\n");
    curl_tells(CURL("https://a.test/empty"), "\n2 204 1\n");
    curl_tells(CURL("-I", "https://a.test/sized", "-o", "/dev/null"), "\n2 200 1\n");
    curl_tells(CURL("https://a.test/echo", "-d", "x=1", "-H", "Expect: 100-continue"),
               "x=1\n2 200 1\n");
    expect_http2_alone(5);
    gateway_stop(gateway);
}

Test(http2_clients, curl_moves_long_bodies)
{
    if (is_missing("curl"))
        return;
    start();
    const char *pattern = write_pattern(), *got = workplace_path("got");
    const char *counted = text("%d bytes as they should be\n2 200 1\n", PATTERN_BYTES);

    curl_tells(CURL("https://a.test/count", "-H", "Content-Type: x/y", "--data-binary",
                    text("@%s", pattern)),
               counted);
    curl_tells(CURL("https://a.test/count", "-T", pattern), counted);
    /* Of a length that nobody knows before. */
    curl_tells(CURL("https://a.test/count", "-X", "POST", "-H", "Content-Length:", "-T", pattern),
               counted);
    cr_assert_eq(origin_finished_request(near, 2)->framing, FRAMING_CHUNKED);
    curl_tells(CURL("https://a.test/pattern", "-o", got), "\n2 200 1\n");
    command_expect(COMMAND("cmp", pattern, got), 0);
    gateway_stop(gateway);
}

Test(http2_clients, curl_is_answered_before_it_has_sent_all)
{
    if (is_missing("curl"))
        return;
    start();
    struct command *command =
        CURL("https://a.test/small", "-X", "POST", "-H", "Content-Length:", "-T", write_pattern());
    command_expect(command, 0);
    command_says(command, "body_too_large");
    command_says(command, "2 413 1");
    gateway_stop(gateway);
}

Test(http2_clients, curl_shows_hints_and_trailers)
{
    if (is_missing("curl"))
        return;
    start();
    struct command *command = CURL("-i", "https://a.test/hints");
    command_expect(command, 0);
    cr_assert_not_null(strstr(command->out, "HTTP/2 103"), "%s", command->out);
    cr_assert_not_null(strstr(command->out, "link: </style.css>; rel=preload\r\n"));
    command = CURL("-i", "https://a.test/sums");
    command_expect(command, 0);
    cr_assert_not_null(strstr(command->out, "\r\n\r\nsumsx-sum: 42\r\n"), "%s", command->out);
    gateway_stop(gateway);
}

Test(http2_clients, curl_sees_what_is_cut)
{
    if (is_missing("curl"))
        return;
    start();
    struct command *command = CURL("https://a.test/cut");
    cr_assert(command->exit_code == 92 || command->exit_code == 18, "%d: %s", command->exit_code,
              command->err);
    gateway_stop(gateway);
}

Test(http2_clients, curl_sends_many_at_once)
{
    if (is_missing("curl"))
        return;
    start();
    struct command *command =
        CURL("--parallel", "--parallel-max", "50", "https://a.test/numbered?[1-200]", "-o",
             workplace_path("got-#1"));
    int connections = 0, served = 0;

    command_expect(command, 0);
    for (const char *line = command->out; (line = strstr(line, "2 200 ")); line++, served++)
        connections += atoi(line + strlen("2 200 "));
    cr_assert_eq(served, 200, "%s", command->out);
    cr_assert_eq(connections, 1);
    for (int i = 1; i <= 200; i++)
        cr_assert_not_null(strstr(workplace_read(workplace_path("got-%d", i)),
                                  text("GET /numbered?%d HTTP/1.1\r\n", i)));
    gateway_stop(gateway);
}

/* --- nghttp and h2load --------------------------------------------------------------------------
 */

#define NGHTTP(path, ...)                \
    COMMAND("nghttp", "-y", __VA_ARGS__, \
            text("https://localhost:%d%s", gateway_port(gateway, "https"), path))

static int count_words(const char *said, const char *words)
{
    int count = 0;

    for (; (said = strstr(said, words)); said += strlen(words))
        count++;
    return count;
}

/* Its frames as they came, with what it itself finds wrong in them. */
static void expect_sound(const struct command *command)
{
    command_expect(command, 0);
    cr_assert_null(strstr(command->out, "[ERROR]"), "%s", command->out);
    cr_assert_null(strstr(command->err, "[ERROR]"), "%s", command->err);
    cr_assert_null(strstr(command->out, "recv RST_STREAM"), "%s", command->out);
    cr_assert_null(strstr(command->out, "Some requests were not processed"), "%s", command->out);
}

Test(http2_clients, nghttp)
{
    if (is_missing("nghttp"))
        return;
    start();
    origin_set_script(near, "/sized", sized_head, NULL);
    struct command *command = NGHTTP("/sums", "-v", "-m", "100");
    expect_sound(command);
    cr_assert_eq(count_words(command->out, ":status: 200"), 100, "%s", command->out);
    cr_assert_eq(count_words(command->out, "x-sum: 42"), 100);
    command = NGHTTP("/hints", "-v");
    expect_sound(command);
    command_says(command, ":status: 103");
    command_says(command, "link: </style.css>; rel=preload");
    command = NGHTTP("/sized", "-v", "-H:method: HEAD");
    expect_sound(command);
    command_says(command, "content-length: 5");
    cr_assert_null(strstr(command->out, "recv DATA"), "%s", command->out);
    gateway_stop(gateway);
}

/* The priorities of RFC 7540, which RFC 9113 did away with, and frames full of padding. */
Test(http2_clients, nghttp_with_priorities_and_padding)
{
    if (is_missing("nghttp"))
        return;
    start();
    static const char *const weights[] = {"1", "16", "256"};

    for (int i = 0; i < 3; i++) {
        struct command *command =
            NGHTTP("/hints", "-v", "-m", "20", "-p", weights[i], "-b", "255", "--no-dep");
        expect_sound(command);
        cr_assert_eq(count_words(command->out, ":status: 200"), 20);
    }
    struct command *command = NGHTTP("/hints", "-v", "-m", "20", "-H", "priority: u=1, i");
    expect_sound(command);
    expect_field(origin_last_request(near), "priority", "u=1, i");
    gateway_stop(gateway);
}

Test(http2_clients, nghttp_uploads_with_trailers)
{
    if (is_missing("nghttp"))
        return;
    start();
    const char *pattern = write_pattern();
    struct command *command =
        NGHTTP("/count", "-v", "-d", pattern, "--trailer", "x-sum: 42", "--no-content-length");
    expect_sound(command);
    command_says(command, text("%d bytes as they should be", PATTERN_BYTES));
    cr_assert_str_eq(message_trailer(origin_finished_request(near, 0), "x-sum"), "42");
    command = NGHTTP("/count", "-v", "-d", pattern, "--expect-continue");
    expect_sound(command);
    command_says(command, ":status: 100");
    command_says(command, text("%d bytes as they should be", PATTERN_BYTES));
    command = NGHTTP("/echo", "-v", "-d", workplace_path("ca.pem"), "-m", "50");
    expect_sound(command);
    cr_assert_eq(count_words(command->out, ":status: 200"), 50);
    cr_assert_eq(count_words(command->out, workplace_read(workplace_path("ca.pem"))), 50);
    gateway_stop(gateway);
}

static void expect_load(struct command *command, int requests)
{
    command_expect(command, 0);
    command_says(command, text("%d succeeded, 0 failed, 0 errored, 0 timeout", requests));
    command_says(command, text("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", requests));
}

Test(http2_clients, h2load)
{
    if (is_missing("h2load"))
        return;
    start();
    origin_count_only(near);
    const char *url = text("https://localhost:%d/echo", gateway_port(gateway, "https"));
    expect_load(COMMAND("h2load", "-n", "3000", "-c", "8", "-m", "32", url), 3000);
    cr_assert_eq(origin_requests(near), 3000);
    expect_load(COMMAND("h2load", "-n", "1000", "-c", "4", "-m", "100", "-d",
                        workplace_path("ca.pem"), url),
                1000);
    cr_assert_eq(origin_requests(near), 4000);
    gateway_stop(gateway);
}

/* --- node ---------------------------------------------------------------------------------------
 */

static char *node_program(void)
{
    const char *root = getenv("SALLYPORT_SOURCE_DIR");

    return text("%s/tests/e2e/programs/http2.js", root ? root : ".");
}

#define NODE(scenario, file)                                                                     \
    ((const char *const[]){"node", node_program(), scenario,                                     \
                           text("%d", gateway_port(gateway, "https")), workplace_path("ca.pem"), \
                           file, NULL})

static void run_node(const char *scenario, const char *file)
{
    struct command *command = command_run(NODE(scenario, file));

    command_expect(command, 0);
    command_says(command, "done");
}

static void try_node(const char *scenario)
{
    if (is_missing("node"))
        return;
    start();
    origin_set_script(near, "/sized", sized_head, NULL);
    run_node(scenario, write_pattern());
    gateway_stop(gateway);
}

Test(http2_clients, node_with_a_thousand_streams)
{
    try_node("streams");
    if (gateway)
        expect_http2_alone(1000);
}

Test(http2_clients, node_moves_bodies_both_ways)
{
    try_node("bodies");
}

Test(http2_clients, node_moves_long_bodies)
{
    try_node("long");
}

Test(http2_clients, node_sees_every_part_of_a_message)
{
    try_node("parts");
}

Test(http2_clients, node_is_answered_before_it_has_sent_all)
{
    try_node("early");
}

Test(http2_clients, node_gives_up_requests)
{
    try_node("cancel");
}

Test(http2_clients, node_sees_what_is_cut)
{
    try_node("cut");
}

Test(http2_clients, node_opens_tunnels)
{
    try_node("tunnels");
}

static void wait_to_serve(struct origin_turn *turn)
{
    if (gate_wait(turn->arg))
        wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved");
}

Test(http2_clients, node_is_served_to_the_end)
{
    if (is_missing("node"))
        return;
    start();
    struct gate *gate = gate_new();
    origin_set_script(near, "/held", wait_to_serve, gate);
    struct background *node = background_start(NODE("drain", ""), (const char *const[]){NULL});
    origin_wait_requests(near, 10);
    gateway_signal(gateway, SIGTERM);
    gateway_wait_stderr(gateway, "draining", NULL);
    gate_open(gate);
    background_wait_word(node, "done");
    cr_assert_eq(gateway_wait_exit(gateway), 0);
    gateway_stop(gateway);
}

/* --- a connection that is no place for a request ------------------------------------------------
 */

/* a.test and c.test have a certificate in common, b.test another; c.test's clients are asked for
 * one of theirs. */
static void start_apart(void)
{
    near = origin_start("near");
    workplace_make_folder("own");
    cert_write_bundle(cert_new("a.test, c.test"), workplace_path("own/one.pem"));
    cert_write_bundle(cert_new("b.test"), workplace_path("own/two.pem"));
    gateway = gateway_start(
        "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' }, 'certs': 'own', "
        "'routes': { 'c.test': { 'to': '%s', 'tls': { 'client_ca': 'ca.pem', 'client_auth': "
        "'request' } }, '*': '%s' } }",
        origin_address(near), origin_address(near));
}

Test(http2_clients, curl_is_told_that_it_is_misdirected)
{
    if (is_missing("curl"))
        return;
    start_apart();
    struct command *command = CURL("https://a.test/", "-H", "Host: b.test");
    command_expect(command, 0);
    command_says(command, "misdirected");
    command_says(command, "2 421 1");
    command = CURL("https://a.test/", "-H", "Host: c.test");
    command_expect(command, 0);
    command_says(command, "2 421 1");
    command = CURL("https://a.test/", "https://b.test/", "https://c.test/");
    command_expect(command, 0);
    cr_assert_eq(count_words(command->out, "2 200 1"), 3, "%s", command->out);
    gateway_stop(gateway);
}

Test(http2_clients, node_is_told_that_it_is_misdirected)
{
    if (is_missing("node"))
        return;
    start_apart();
    run_node("misdirected", "");
    cr_assert_eq(origin_requests(near), 7); /* and never for another one's */
    gateway_stop(gateway);
}
