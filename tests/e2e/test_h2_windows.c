/* HTTP/2 over a path that is long: what is on its way at once, as the windows of both sides allow
 * it. Facts about bytes, seen by a relay that can keep them; no clocks. */
#include "harness/monitor.h"
#include "harness/multiplexed.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/delay_relay.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_windows);

#define KIB      ((uint64_t)1024)
#define MIB      (1024 * KIB)
#define BIG      (32 * MIB)
#define DELAY_MS 25

/* One gateway and its client, with a long path between them. */
struct path {
    struct origin *origin;
    struct gateway *gateway;
    struct delay_relay *relay;
    struct multiplexed *client;
    uint64_t size;
};

static void end_relay(void *relay)
{
    delay_relay_stop(relay);
}

/* Reads the body and says how many bytes came and whether they were the pattern. */
static void swallow(struct origin_turn *turn)
{
    origin_read_body(turn);
    const char *verdict = text("%llu %s", (unsigned long long)turn->request->body_bytes,
                               turn->request->body_is_pattern ? "intact" : "damaged");
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(verdict),
               verdict);
}

static void lay(struct path *path, uint64_t window)
{
    path->size = BIG;
    path->origin = origin_start("one");
    origin_set_script(path->origin, "/down", origin_send_pattern, &path->size);
    origin_set_script(path->origin, "/up", swallow, NULL);
    path->gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(path->origin));
    struct delay_options options = {.to = gateway_https(path->gateway), .delay_ms = DELAY_MS};
    path->relay = workplace_own(delay_relay_start(&options), end_relay);
    path->client = multiplexed_open(&(struct multiplexed_options){
        .address = delay_relay_address(path->relay),
        .host = "a.test",
        .stream_window = (int32_t)window,
        .connection_window = (int32_t)(2 * window),
    });
    struct multiplexed_request first = {.path = "/"};
    multiplexed_ask(path->client, &first);
    multiplexed_finish(path->client, &first, 200);
}

static void leave(struct path *path)
{
    multiplexed_close(path->client);
    gateway_stop(path->gateway);
}

/* Nothing arrives that way any more: whoever sends goes on until there must be an answer. */
static void expect_on_its_way(struct path *path, enum delay_way way, uint64_t bytes)
{
    long long start = monitor_now_ms();

    delay_relay_set_delay(path->relay, way, DELAY_FOREVER);
    while (delay_relay_in_flight(path->relay, way) < bytes) {
        workplace_require(
            monitor_may_ask_again(start), "only %llu bytes are on their way, not %llu",
            (unsigned long long)delay_relay_in_flight(path->relay, way), (unsigned long long)bytes);
        multiplexed_turn(path->client);
    }
    delay_relay_set_delay(path->relay, way, DELAY_MS);
}

/* The way back is blocked: reads what the relay had taken until then. */
static void take_what_has_passed(struct path *path)
{
    uint64_t before;

    do {
        before = multiplexed_received(path->client);
        multiplexed_turn(path->client);
    } while (delay_relay_in_flight(path->relay, DELAY_BACK) > 0 ||
             multiplexed_received(path->client) > before);
}

static void expect_download(const struct multiplexed_request *request)
{
    cr_assert_eq(request->bytes, BIG);
    cr_assert(request->is_pattern);
}

Test(h2_windows, download_has_on_its_way_what_the_client_allows)
{
    struct path path;
    uint64_t window = 4 * MIB;
    struct multiplexed_request down = {.path = "/down"};

    lay(&path, window);
    multiplexed_ask(path.client, &down);
    expect_on_its_way(&path, DELAY_BACK, window);
    /* From here on the client may owe a sixteenth of it. */
    for (uint64_t mark = 6 * MIB; mark <= 26 * MIB; mark += 4 * MIB) {
        while (down.bytes < mark)
            multiplexed_turn(path.client);
        expect_on_its_way(&path, DELAY_BACK, window - window / 8);
    }
    multiplexed_finish(path.client, &down, 200);
    expect_download(&down);
    leave(&path);
}

Test(h2_windows, upload_has_on_its_way_what_a_grown_window_allows)
{
    struct path path;
    struct multiplexed_request up = {.method = "PUT", .path = "/up", .to_send = BIG};

    lay(&path, MIB);
    multiplexed_ask(path.client, &up);
    for (uint64_t mark = 12 * MIB; mark <= 28 * MIB; mark += 4 * MIB) {
        while (up.sent < mark)
            multiplexed_turn(path.client);
        expect_on_its_way(&path, DELAY_FORTH, 7 * MIB / 8);
    }
    multiplexed_finish(path.client, &up, 200);
    struct message *seen = origin_finished_request(path.origin, 1);
    cr_assert_eq(seen->body_bytes, BIG);
    cr_assert(seen->body_is_pattern);
    leave(&path);
}

enum { AT_ONCE = 10, ROUNDS = 10 };

static bool are_over(const struct multiplexed_request *requests, int count)
{
    for (int i = 0; i < count; i++)
        if (!requests[i].is_over)
            return false;
    return true;
}

/* How many bytes of bodies the request saw come before its answer. */
static uint64_t waited(const struct multiplexed_request *request)
{
    return request->before_answer - request->before_asking;
}

static void ask_beside_a_download(const char *priority)
{
    struct path path;
    uint64_t window = MIB, all = 0;
    struct multiplexed_request down = {.path = "/down"};

    lay(&path, window);
    multiplexed_ask(path.client, &down);
    for (int round = 0; round < ROUNDS; round++) {
        struct multiplexed_request small[AT_ONCE];
        while (down.bytes < (uint64_t)(round + 1) * 2 * MIB)
            multiplexed_turn(path.client);
        for (int i = 0; i < AT_ONCE; i++) {
            small[i] = (struct multiplexed_request){.path = "/small", .priority = priority};
            multiplexed_ask(path.client, &small[i]);
        }
        while (!are_over(small, AT_ONCE))
            multiplexed_turn(path.client);
        for (int i = 0; i < AT_ONCE; i++) {
            cr_assert_eq(small[i].status, 200);
            cr_assert_eq(small[i].error, 0);
            all += waited(&small[i]);
        }
        cr_assert(!down.is_over, "round %d was answered behind the download", round);
    }
    /* When the gateway reads a request, no more than a window is in front of its answer; then the
     * backend takes its time. */
    cr_assert_leq(all, AT_ONCE * ROUNDS * 4 * window);
    multiplexed_finish(path.client, &down, 200);
    expect_download(&down);
    leave(&path);
}

Test(h2_windows, small_requests_pass_a_download)
{
    ask_beside_a_download("u=1");
}

Test(h2_windows, small_requests_without_a_priority_pass_a_download)
{
    ask_beside_a_download(NULL);
}

Test(h2_windows, answers_do_not_queue_behind_what_the_kernel_holds)
{
    struct path path;
    struct multiplexed_request down = {.path = "/down"},
                               small = {.path = "/small", .priority = "u=1"};

    lay(&path, 16 * MIB);
    delay_relay_set_delay(path.relay, DELAY_BACK, 0);
    delay_relay_set_delay(path.relay, DELAY_FORTH, 0);
    multiplexed_ask(path.client, &down);
    while (down.bytes < 4 * MIB)
        multiplexed_turn(path.client);
    delay_relay_block(path.relay, DELAY_BACK, true);
    take_what_has_passed(&path);
    int asked = origin_requests(path.origin);
    multiplexed_ask(path.client, &small);
    multiplexed_turn(path.client);
    origin_finished_request(path.origin, asked);
    /* Somebody else's answer is behind it in the gateway's loop. */
    expect_from(fetch(path.gateway, "a.test", "/"), "one");
    small.before_asking = multiplexed_received(path.client);
    delay_relay_block(path.relay, DELAY_BACK, false);
    multiplexed_finish(path.client, &small, 200);
    /* The kernel would take four times as much, and the answer would be behind all of it. */
    cr_assert_leq(waited(&small), MIB);
    multiplexed_finish(path.client, &down, 200);
    expect_download(&down);
    leave(&path);
}
