/* Requests that take long are given to a second server as well: to which ones, how often, and what
 * becomes of the other try. */
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(hedging);

enum { WARM_UP = 120, NUMBERS = 32 };

struct world {
    struct origin *one, *two;
    struct gateway *gateway;
    struct client *client;
};

/* Enough answers that their times are known. */
static void warm_up(struct world *world)
{
    for (int i = 0; i < WARM_UP; i++)
        expect_status(client_get(world->client, "a.test", "/"), 200);
}

static struct world world_start(const char *keys)
{
    struct world world = {.one = origin_start("one"), .two = origin_start("two")};

    world.gateway = gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', '%s'], %s } },"
                                  "  'routes': { 'a.test': 'b' } }",
                                  origin_address(world.one), origin_address(world.two), keys);
    world.client = client_open(world.gateway, "a.test");
    return world;
}

static void world_stop(struct world *world)
{
    client_close(world->client);
    gateway_stop(world->gateway);
}

static long long counter(const char *name)
{
    char *page = ask_admin("GET", "/metrics")->body;
    char *line = strstr(page, text("\nsallyport_upstream_%s_total ", name));

    workplace_require(line != NULL, "no %s in\n%s", name, page);
    return atoll(strchr(line, ' '));
}

/* --- who is asked ------------------------------------------------------------------------------
 */

struct tally {
    atomic_int seen[NUMBERS]; /* by the request's number */
};

static void count_number(struct origin_turn *turn)
{
    struct tally *tally = turn->arg;
    const char *number = message_field(turn->request, "x-number");

    atomic_fetch_add(&tally->seen[atoi(number) % NUMBERS], 1);
}

static void count_and_hang(struct origin_turn *turn)
{
    count_number(turn);
    origin_hang(turn);
}

static void count_and_tell(struct origin_turn *turn)
{
    count_number(turn);
    origin_tell(turn);
}

static void ask_number(struct world *world, const char *method, const char *rest, int number)
{
    client_send(world->client, "%s /x HTTP/1.1\r\nHost: a.test\r\nX-Number: %d\r\n%s", method,
                number, rest);
}

/* One of the two hangs: whoever it got has the answer of the other one, after one hedge. */
Test(hedging, second_server_answers_for_one_that_hangs)
{
    struct world world = world_start("'hedge': 'p95'");
    struct tally hung = {0}, answered = {0};
    int hedged = 0;

    warm_up(&world);
    origin_set_script(world.one, "/x", count_and_hang, &hung);
    origin_set_script(world.two, "/x", count_and_tell, &answered);
    for (int i = 0; i < NUMBERS; i++) {
        ask_number(&world, "GET", "\r\n", i);
        expect_from(client_response(world.client), "two");
        json_t *entry = log_entry(world.gateway, WARM_UP + i);
        expect_string(entry, "server", origin_address(world.two));
        int more = (int)json_integer_value(json_member(entry, "attempts")) - 1;
        cr_assert_leq(more, 1);
        cr_assert_eq(answered.seen[i], 1);
        cr_assert_leq(hung.seen[i], more);
        hedged += more;
    }
    cr_assert_gt(hedged, NUMBERS / 4);
    char *page = ask_admin("GET", "/metrics")->body;
    workplace_require(strstr(page, text("sallyport_upstream_requests_total{backend=\"b\","
                                        "server=\"%s\",outcome=\"canceled\"} ",
                                        origin_address(world.one))) != NULL,
                      "%s", page);
    cr_assert_geq(counter("hedges"), hedged);
    world_stop(&world);
}

/* What may not be done twice, or is not sent in one piece, goes to one server, and waits. */
Test(hedging, only_what_may_be_done_twice)
{
    static const char *const methods[] = {"POST", "PATCH", "PUT", "GET"};
    static const char *const rests[] = {
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 5\r\n\r\nhello",
        "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    };
    struct world world =
        world_start("'hedge': 'p95', 'timeout': { 'first_byte': '300ms' }, 'retry': { 'on': [] }");
    struct tally tally = {0};

    warm_up(&world);
    origin_set_script(world.one, "/x", count_and_hang, &tally);
    origin_set_script(world.two, "/x", count_and_hang, &tally);
    for (int i = 0; i < 4; i++) {
        ask_number(&world, methods[i], rests[i], i);
        expect_refusal(client_response(world.client), 504, "backend_timeout");
        cr_assert_eq(tally.seen[i], 1);
    }
    world_stop(&world);
}

static void expect_no_hedge(struct world *world)
{
    struct tally tally = {0};

    warm_up(world);
    origin_set_script(world->one, "/x", count_and_hang, &tally);
    origin_set_script(world->two, "/x", count_and_hang, &tally);
    ask_number(world, "GET", "\r\n", 0);
    expect_refusal(client_response(world->client), 504, "backend_timeout");
    cr_assert_eq(tally.seen[0], 1);
    cr_assert_eq(counter("hedges"), 0);
    world_stop(world);
}

Test(hedging, needs_an_attempt_that_is_left)
{
    struct world world = world_start(
        "'hedge': 'p95', 'timeout': { 'first_byte': '300ms' }, 'retry': { 'attempts': 1 }");

    expect_no_hedge(&world);
}

Test(hedging, is_off_unless_it_is_wished)
{
    struct world world = world_start("'timeout': { 'first_byte': '300ms' }");

    expect_no_hedge(&world);
}

Test(hedging, never_asks_the_same_server)
{
    struct world world = {.one = origin_start("one"), .two = origin_start("spare")};

    world.gateway = gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'],"
                                  "  'hedge': 'p95', 'timeout': { 'first_byte': '300ms' } } },"
                                  "  'routes': { 'a.test': 'b' } }",
                                  origin_address(world.one));
    world.client = client_open(world.gateway, "a.test");
    expect_no_hedge(&world);
}

/* A backend whose servers hang gets only so many more requests. */
Test(hedging, is_paid_from_the_budget)
{
    enum { FLOOR = 100 /* in ten seconds, of the one worker */ };
    struct world world =
        world_start("'hedge': 'p95', 'timeout': { 'first_byte': '1s' }, 'retry': { 'on': [] }");
    long long start = monitor_now_ms();
    int status = 200;

    warm_up(&world);
    origin_count_only(world.one);
    origin_set_script(world.one, "/x", origin_hang, NULL);
    for (int i = 0; status == 200 && i < 4 * FLOOR; i++) {
        ask_number(&world, "GET", "\r\n", i);
        status = client_response(world.client)->status;
    }
    cr_assert_leq(counter("hedges"), FLOOR * (1 + (monitor_now_ms() - start) / 10000));
    if (status != 200) /* else the machine is so slow that it kept within the budget */
        cr_assert_gt(counter("retries_refused"), 0);
    world_stop(&world);
}

/* --- what becomes of both ----------------------------------------------------------------------
 */

/* What the servers do with a request, by who got it first. */
struct duel {
    atomic_int arrivals;
    origin_script scripts[2];
    struct gate *gates[2]; /* each waits at its own first */
};

static void fight(struct origin_turn *turn)
{
    struct duel *duel = turn->arg;
    int place = atomic_fetch_add(&duel->arrivals, 1);

    if (place > 1)
        workplace_note("a third try");
    else if (!gate_wait(duel->gates[place]))
        workplace_note("nobody opened gate %d", place);
    else
        duel->scripts[place](turn);
}

static void reset(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_reset(turn->wire);
}

static void tell_late(struct origin_turn *turn)
{
    turn->is_closing = true;
    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
}

static void tell_winner(struct origin_turn *turn)
{
    origin_read_body(turn);
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwinner");
}

/* Sends a request that both get; none has answered yet. */
static struct duel *begin_duel(struct world *world, origin_script first, origin_script second)
{
    struct duel *duel = workplace_own(calloc(1, sizeof *duel), free);

    warm_up(world);
    *duel = (struct duel){.scripts = {first, second}, .gates = {gate_new(), gate_new()}};
    int before = origin_requests(world->one) + origin_requests(world->two);
    origin_set_script(world->one, "/x", fight, duel);
    origin_set_script(world->two, "/x", fight, duel);
    ask_number(world, "GET", "\r\n", 0);
    long long start = monitor_now_ms();
    while (origin_requests(world->one) + origin_requests(world->two) < before + 2)
        workplace_require(monitor_may_ask_again(start), "no second server is asked");
    return duel;
}

/* The connection was a used one: that it breaks off without a word is called stale. */
static void await_loss(void)
{
    long long start = monitor_now_ms();

    while (strstr(ask_admin("GET", "/metrics")->body, "outcome=\"stale\"") == NULL)
        workplace_require(monitor_may_ask_again(start), "no try was lost");
}

static void expect_winner(struct world *world)
{
    expect_body(client_response(world->client), "winner");
    expect_number(log_entry(world->gateway, WARM_UP), "attempts", 2);
}

/* Which one it is does not matter, and what the other one still says reaches nobody. */
static void expect_late_answer_is_lost(int winner)
{
    struct world world = world_start("'hedge': 'p95'");
    struct duel *duel = begin_duel(&world, winner == 0 ? tell_winner : tell_late,
                                   winner == 1 ? tell_winner : tell_late);

    gate_open(duel->gates[winner]);
    expect_winner(&world);
    gate_open(duel->gates[1 - winner]);
    for (int i = 0; i < NUMBERS; i++) {
        struct message *response = client_get(world.client, "a.test", "/");
        expect_status(response, 200);
        cr_assert_null(strstr(response->body, "late"));
    }
    world_stop(&world);
}

Test(hedging, first_server_may_still_win)
{
    expect_late_answer_is_lost(0);
}

Test(hedging, late_answer_reaches_nobody)
{
    expect_late_answer_is_lost(1);
}

/* While one of them is still at it, the other one's failure is not the request's. */
static void expect_failure_is_survived(int loser)
{
    struct world world = world_start("'hedge': 'p95'");
    struct duel *duel =
        begin_duel(&world, loser == 0 ? reset : tell_winner, loser == 1 ? reset : tell_winner);

    gate_open(duel->gates[loser]);
    await_loss();
    gate_open(duel->gates[1 - loser]);
    expect_winner(&world);
    world_stop(&world);
}

Test(hedging, failure_of_the_first_is_survived)
{
    expect_failure_is_survived(0);
}

Test(hedging, failure_of_the_second_is_survived)
{
    expect_failure_is_survived(1);
}

static void answer_when_told(struct origin_turn *turn)
{
    if (gate_wait(turn->arg))
        origin_tell(turn);
}

static void answer_503(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 503 Unwell\r\nContent-Length: 0\r\n\r\n");
}

static void set_scripts(struct world *world, const char *path, origin_script script, void *arg)
{
    origin_set_script(world->one, path, script, arg);
    origin_set_script(world->two, path, script, arg);
}

static void await_held(void)
{
    long long start = monitor_now_ms();

    while (strstr(ask_admin("GET", "/metrics")->body, "upstream_held{backend=\"b\"} 1\n") == NULL)
        workplace_require(monitor_may_ask_again(start), "nobody is held");
}

/* The first try's clock is not the second one's, which waits for its server meanwhile. */
Test(hedging, a_try_that_is_over_is_not_hedged)
{
    struct world world = world_start("'hedge': 'p95', 'retry': { 'on': ['5xx'] },"
                                     " 'max_connections': 1, 'eject': { 'after': 1 },"
                                     " 'hold': { 'for': '60s', 'queue': 10 }");
    struct client *other = client_open(world.gateway, "a.test");
    struct gate *busy = gate_new();
    struct duel duel = {.scripts = {answer_503, tell_winner}, .gates = {gate_new(), gate_new()}};

    warm_up(&world);
    set_scripts(&world, "/busy", answer_when_told, busy);
    set_scripts(&world, "/x", fight, &duel);
    int before = origin_requests(world.one) + origin_requests(world.two);
    client_send(other, "POST /busy HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    long long start = monitor_now_ms();
    while (origin_requests(world.one) + origin_requests(world.two) == before)
        workplace_require(monitor_may_ask_again(start), "nobody is busy");
    gate_open(duel.gates[0]);
    ask_number(&world, "GET", "\r\n", 0);
    await_held();
    ask_admin("GET", "/metrics"); /* so much longer than an answer takes */
    gate_open(busy);
    expect_status(client_response(other), 200);
    while (atomic_load(&duel.arrivals) < 2)
        workplace_require(monitor_may_ask_again(start), "it is not tried again");
    gate_open(duel.gates[1]);
    expect_body(client_response(world.client), "winner");
    expect_number(log_entry(world.gateway, WARM_UP + 1), "attempts", 2);
    client_close(other);
    world_stop(&world);
}

Test(hedging, winner_is_whole)
{
    uint64_t bytes = 3 << 20;
    struct world world = world_start("'hedge': 'p95'");

    warm_up(&world);
    origin_set_script(world.one, "/x", origin_hang, NULL);
    origin_set_script(world.two, "/x", origin_send_pattern, &bytes);
    for (int i = 0; i < 4; i++) {
        ask_number(&world, "GET", "\r\n", 0);
        struct message *response = client_response(world.client);
        expect_status(response, 200);
        cr_assert_eq(response->body_bytes, bytes);
        cr_assert(response->body_is_pattern);
    }
    world_stop(&world);
}
