/*
 * Who gets how many: SALLYPORT_TEST_COUNT (10,000) requests to each strategy, with one worker and
 * with two, before and after reloads, counted where they are asked and where they are answered;
 * 100,000 for the full proof. What came out is told on stderr.
 *
 * Which worker a client's connection has come to shows in its first answers: workers share no
 * connection to a backend.
 */
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

E2E_SUITE(heavy_counting);

enum {
    SERVERS_MOST = 10,
    WORKERS_MOST = 2,
    CLIENTS_MOST = 64, /* of a worker */
    AHEAD = 100,       /* requests in one write */
    LEARNING = 3 * AHEAD,
    ON_A_CONNECTION = 9000, /* the gateway ends one after 10,000 */
    ASKED_FEWEST = 10000,   /* what is left to chance has bounds for as many */
};

/* --- the servers, and who asks them --------------------------------------------------------------
 */

struct server {
    int number;
    struct origin *origin;
};

struct worker {
    struct world *world;
    struct client *clients[CLIENTS_MOST]; /* its own, one at a time is used */
    int client_count, left;               /* left: requests to the last of them */
    int backends[SERVERS_MOST];           /* the number of its connection to each; -1: not known */
    int first, count;                     /* what it is to ask, and who answered */
    unsigned char *answers;
};

struct world {
    struct gateway *gateway;
    struct server servers[SERVERS_MOST];
    int server_count, worker_count;
    struct worker workers[WORKERS_MOST];
};

struct answer {
    int server, connection;
};

/* Its number and that of the connection, which may rest for as long as the test takes. */
static void tell_who(struct origin_turn *turn)
{
    const struct server *server = turn->arg;
    char body[32];
    int length = snprintf(body, sizeof body, "%d %d", server->number, turn->request->connection);

    wire_print(turn->wire,
               "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: %d\r\n\r\n%s", length,
               body);
}

static struct answer read_answer(const struct world *world, struct client *client)
{
    struct message *response = message_make();
    struct answer answer = {-1, -1};

    bool is_whole = message_read_head(&client->wire, response, false) &&
                    message_read_body(&client->wire, response, "GET") && response->status == 200 &&
                    response->body != NULL &&
                    sscanf(response->body, "%d %d", &answer.server, &answer.connection) == 2;
    message_free(response);
    workplace_require(is_whole && answer.server >= 0 && answer.server < world->server_count,
                      "a request was not answered");
    return answer;
}

/* Up to AHEAD requests at once, the n-th of all with the key n. */
static void ask_ahead(const struct world *world, struct client *client, int first, int count,
                      struct answer *answers)
{
    char requests[AHEAD * 64];
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length +=
            (size_t)snprintf(requests + length, sizeof requests - length,
                             "GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: %d\r\n\r\n", first + i);
    client_send_bytes(client, requests, length);
    for (int i = 0; i < count; i++)
        answers[i] = read_answer(world, client);
}

/* One after the other, all through this worker. */
static void *ask(void *arg)
{
    struct worker *worker = arg;

    for (int done = 0; done < worker->count;) {
        struct answer answers[AHEAD];
        int more = worker->count - done < AHEAD ? worker->count - done : AHEAD;
        if (worker->left < more) {
            workplace_require(worker->client_count > 1, "too few connections were opened");
            worker->client_count--;
            worker->left = ON_A_CONNECTION;
        }
        ask_ahead(worker->world, worker->clients[worker->client_count - 1], worker->first + done,
                  more, answers);
        for (int i = 0; i < more; i++)
            worker->answers[worker->first + done + i] = (unsigned char)answers[i].server;
        worker->left -= more;
        done += more;
    }
    return NULL;
}

/* The workers share the requests and ask at the same time; who answered each. */
static unsigned char *ask_all(struct world *world, int count)
{
    unsigned char *answers = workplace_own(calloc((size_t)count, 1), free);
    pthread_t threads[WORKERS_MOST];

    for (int i = 0; i < world->worker_count; i++) {
        struct worker *worker = &world->workers[i];
        worker->count = count / world->worker_count;
        worker->first = i * worker->count;
        worker->answers = answers;
        if (pthread_create(&threads[i], NULL, ask, worker) != 0)
            abort();
    }
    for (int i = 0; i < world->worker_count; i++)
        pthread_join(threads[i], NULL);
    workplace_settle();
    return answers;
}

/* All through one worker. */
static unsigned char *ask_through(struct worker *worker, int count)
{
    unsigned char *answers = workplace_own(calloc((size_t)count, 1), free);

    worker->first = 0;
    worker->count = count;
    worker->answers = answers;
    ask(worker);
    return answers;
}

/* --- which worker is whose -----------------------------------------------------------------------
 */

static void learn_backends(struct worker *worker, struct client *client)
{
    struct answer answers[AHEAD];

    for (int done = 0; done < LEARNING; done += AHEAD) {
        ask_ahead(worker->world, client, done, AHEAD, answers);
        for (int i = 0; i < AHEAD; i++)
            worker->backends[answers[i].server] = answers[i].connection;
    }
}

/* Whose connections were used; the first worker that is not known yet, for any others. */
static struct worker *find_worker(struct world *world, struct client *client)
{
    struct answer answer;

    ask_ahead(world, client, 0, 1, &answer);
    for (int i = 0; i < world->worker_count; i++) {
        struct worker *worker = &world->workers[i];
        if (worker->client_count == 0)
            learn_backends(worker, client);
        if (worker->backends[answer.server] == answer.connection)
            return worker;
    }
    workplace_fail("a connection to server %d belongs to no worker", answer.server);
}

/* Enough for each worker to be asked so often. */
static void open_clients(struct world *world, int requests)
{
    int fewest = requests / (ON_A_CONNECTION - AHEAD) + 2;

    for (int have = 0, tries = 0; have < world->worker_count; tries++) {
        struct client *client = client_open_plain(gateway_address(world->gateway, "http", 0));
        struct worker *worker = find_worker(world, client);
        workplace_require(tries < 1000, "no connection comes to the second worker");
        if (worker->client_count == fewest) {
            client_close(client);
            continue;
        }
        worker->clients[worker->client_count++] = client;
        worker->left = ON_A_CONNECTION;
        have += worker->client_count == fewest;
    }
}

/* --- the world -----------------------------------------------------------------------------------
 */

/* The backend's servers with their weights, but for those of weight -1. */
static void write_routes(const struct world *world, const char *balance, const int *weights)
{
    const char *servers = "";

    for (int i = 0; i < world->server_count; i++)
        if (weights[i] >= 0)
            servers = text("%s%s{ 'to': '%s', 'weight': %d }", servers, *servers ? ", " : "",
                           origin_address(world->servers[i].origin), weights[i]);
    route_file("routes.json",
               "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' },"
               "    'admin': 'unix:@tmp/admin.sock' }, 'log': { 'access': 'off' },"
               "  'backends': { 'b': { 'servers': [%s], %s } }, 'routes': { 'a.test': 'b' } }",
               servers, balance);
}

static void reload(const struct world *world, const char *balance, const int *weights)
{
    write_routes(world, balance, weights);
    expect_status(ask_admin("POST", "/reload"), 200);
}

/* `requests`: to any one worker, at most. */
static struct world *world_start(int workers, int servers, const char *balance, const int *weights,
                                 int requests)
{
    struct world *world = workplace_own(calloc(1, sizeof *world), free);

    workplace_allow_seconds(800);
    world->worker_count = workers;
    world->server_count = servers;
    for (int i = 0; i < servers; i++) {
        struct server *server = &world->servers[i];
        *server = (struct server){i, origin_start("one of many")};
        origin_count_only(server->origin);
        origin_set_script(server->origin, NULL, tell_who, server);
    }
    write_routes(world, balance, weights);
    world->gateway = gateway_start_with(
        &(struct gateway_options){.routes = workplace_path("routes.json"), .workers = workers});
    for (int i = 0; i < workers; i++) {
        world->workers[i].world = world;
        for (int server = 0; server < servers; server++)
            world->workers[i].backends[server] = -1;
    }
    open_clients(world, requests);
    return world;
}

static int requests_to_make(void)
{
    long count = workplace_number("SALLYPORT_TEST_COUNT", ASKED_FEWEST);

    workplace_require(count >= ASKED_FEWEST && count <= 200000,
                      "SALLYPORT_TEST_COUNT is not from %d to 200000", ASKED_FEWEST);
    return (int)count;
}

static void count_servers(const unsigned char *answers, int count, int *counts)
{
    for (int i = 0; i < SERVERS_MOST; i++)
        counts[i] = 0;
    for (int i = 0; i < count; i++)
        counts[answers[i]]++;
}

static int add_up(const int *weights, int count)
{
    int sum = 0;

    for (int i = 0; i < count; i++)
        sum += weights[i] > 0 ? weights[i] : 0;
    return sum;
}

/* --- round robin ---------------------------------------------------------------------------------
 */

/* Of any cycle of requests, wherever it begins, each server has exactly its weight. */
static void expect_exact_cycles(const unsigned char *answers, int count, const int *weights,
                                int servers)
{
    int cycle = add_up(weights, servers), counts[SERVERS_MOST];

    count_servers(answers, cycle, counts);
    for (int i = 0; i < servers; i++)
        cr_assert_eq(counts[i], weights[i], "server %d has %d of %d, not %d", i, counts[i], cycle,
                     weights[i]);
    for (int i = cycle; i < count; i++)
        cr_assert_eq(answers[i], answers[i - cycle],
                     "servers %d and %d have not their shares around request %d",
                     answers[i - cycle], answers[i], i);
}

static void expect_turns(struct world *world, int count, const int *weights)
{
    int before[SERVERS_MOST], counts[SERVERS_MOST];
    int cycle = add_up(weights, world->server_count);

    for (int i = 0; i < world->server_count; i++)
        before[i] = origin_requests(world->servers[i].origin);
    const unsigned char *answers = ask_all(world, count);
    for (int i = 0; i < world->worker_count; i++)
        expect_exact_cycles(answers + world->workers[i].first, world->workers[i].count, weights,
                            world->server_count);
    count_servers(answers, count, counts);
    for (int i = 0; i < world->server_count; i++) {
        int at_server = origin_requests(world->servers[i].origin) - before[i];
        double share = (double)count * weights[i] / cycle;
        fprintf(stderr, "round_robin, %d worker(s): server %d of weight %d/%d: %d of %d (%.1f)\n",
                world->worker_count, i, weights[i], cycle, at_server, count, share);
        cr_assert_eq(at_server, counts[i]);
        /* Whole cycles of each worker, and less than one. */
        cr_assert_leq(fabs(at_server - share), weights[i] * world->worker_count);
        if (world->worker_count == 1 && count % cycle == 0)
            cr_assert_eq(at_server, (int)share);
    }
}

static void expect_exact_turns(int workers)
{
    static const int weights[] = {5, 1, 3, 1}, changed[] = {2, 4, 0, 1};
    int count = requests_to_make() / workers * workers;
    struct world *world =
        world_start(workers, 4, "'balance': 'round_robin'", weights, 2 * count / workers);

    expect_turns(world, count, weights);
    reload(world, "'balance': 'round_robin'", changed);
    expect_turns(world, count, changed);
    gateway_stop(world->gateway);
}

Test(heavy_counting, round_robin_is_exact_in_one_worker)
{
    expect_exact_turns(1);
}

Test(heavy_counting, round_robin_is_exact_in_each_of_two_workers)
{
    expect_exact_turns(2);
}

/* --- hash ----------------------------------------------------------------------------------------
 */

/* 1.05 for 100,000 keys; chance deviates by more where there are fewer. */
static void expect_even(const unsigned char *answers, int count, int servers)
{
    int counts[SERVERS_MOST], most = 0;
    double limit = 1 + 0.05 * sqrt(100000.0 / count);

    count_servers(answers, count, counts);
    for (int i = 0; i < servers; i++)
        most = counts[i] > most ? counts[i] : most;
    double ratio = (double)most * servers / count;
    fprintf(stderr, "hash: %d keys on %d servers: max/mean %.3f, at most %.3f\n", count, servers,
            ratio, limit);
    cr_assert_leq(ratio, limit);
}

Test(heavy_counting, hash_is_even_and_moves_only_the_keys_of_a_server_that_goes)
{
    enum { SERVERS = 10, GOES = 3 };
    static const int all[SERVERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int without[SERVERS] = {1, 1, 1, -1, 1, 1, 1, 1, 1, 1};
    static const char *const hash = "'balance': 'hash', 'hash_on': 'header:X-Key'";
    int count = requests_to_make(), moved = 0;
    struct world *world = world_start(2, SERVERS, hash, all, 2 * count);

    const unsigned char *before = ask_through(&world->workers[0], count);
    expect_even(before, count, SERVERS);
    reload(world, hash, without);
    /* By the other worker, which has learned nothing of the first one's keys. */
    const unsigned char *after = ask_through(&world->workers[1], count);
    for (int key = 0; key < count; key++) {
        moved += after[key] != before[key];
        cr_assert(before[key] == GOES || after[key] == before[key],
                  "key %d moved from server %d to %d", key, before[key], after[key]);
        cr_assert_neq(after[key], GOES);
    }
    fprintf(stderr, "hash: one server of %d goes: %d keys of %d move, %.3f/%d\n", SERVERS, moved,
            count, (double)moved * SERVERS / count, SERVERS);
    cr_assert_leq(moved, 1.2 * count / SERVERS);
    reload(world, hash, all);
    cr_assert_arr_eq(ask_through(&world->workers[0], count), before, (size_t)count);
    gateway_stop(world->gateway);
}

/* --- random --------------------------------------------------------------------------------------
 */

/* Nothing else is in flight, so the first that is drawn gets the request. Of a billion runs one
 * would have a higher sum, one a lower one: turns would be as even as that. */
Test(heavy_counting, random_is_by_weight_and_by_chance)
{
    enum { SERVERS = 10 };
    static const double lowest = 0.048, highest = 60.66; /* nine degrees of freedom */
    static const int weights[SERVERS] = {1, 2, 1, 2, 1, 2, 1, 2, 1, 2};
    int count = requests_to_make(), counts[SERVERS_MOST], halves[SERVERS_MOST];
    struct world *world = world_start(2, SERVERS, "'balance': 'random'", weights, count);
    double sum = 0;

    count_servers(ask_through(&world->workers[0], count / 2), count / 2, counts);
    count_servers(ask_through(&world->workers[1], count / 2), count / 2, halves);
    for (int i = 0; i < SERVERS; i++) {
        double expected = (double)(count / 2 * 2) * weights[i] / add_up(weights, SERVERS);
        double off = counts[i] + halves[i] - expected;
        sum += off * off / expected;
    }
    fprintf(stderr, "random: chi-square of %d choices among %d servers: %.2f (%.3f to %.2f)\n",
            count, SERVERS, sum, lowest, highest);
    cr_assert(lowest < sum && sum < highest, "%g", sum);
    gateway_stop(world->gateway);
}

/* --- least requests ------------------------------------------------------------------------------
 */

enum { LOADED = 4, CALLERS = 40, HANGS = 0 };
static const int loaded_weights[LOADED] = {2, 1, 1, 1};

static struct gateway *start_loaded(struct origin **origins)
{
    const char *servers = "";

    for (int i = 0; i < LOADED; i++) {
        origins[i] = origin_start("one of many");
        servers = text("%s%s{ 'to': '%s', 'weight': %d }", servers, i > 0 ? ", " : "",
                       origin_address(origins[i]), loaded_weights[i]);
    }
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': [%s],"
                             "  'balance': 'least_requests' } }, 'routes': { 'a.test': 'b' } }",
                             servers),
        .workers = 2});
}

/* However many: a wait for all of them at once might run out of patience. */
static void wait_answers(struct load *load, int more)
{
    for (; more > 0; more -= 500)
        load_wait_answers(load, more < 500 ? more : 500);
}

/* As soon as it has its share of all that is in flight it is behind. */
static void expect_hanging_one_is_left_alone(struct load *load, struct origin *hangs, int answers)
{
    enum { ROOM = 4 }; /* workers look at the same time */
    struct gate *gate = gate_new();

    load_hold_answers(load, HANGS, gate);
    int before = origin_requests(hangs);
    wait_answers(load, answers);
    int meanwhile = origin_requests(hangs) - before;
    fprintf(stderr, "least_requests: %d answers by others while a server hangs, which got %d\n",
            answers, meanwhile);
    cr_assert_gt(meanwhile, 0);
    cr_assert_leq(meanwhile,
                  CALLERS * loaded_weights[HANGS] / add_up(loaded_weights, LOADED) + ROOM);
    gate_open(gate);
    origin_wait_requests(hangs, before + meanwhile + 500);
}

/* Test builds look again at each pick; this is what everybody can see. */
Test(heavy_counting, least_requests_leave_a_server_alone_that_hangs)
{
    static const struct load_host host = {.name = "a.test", .sni = "a.test"};
    int count = requests_to_make();
    struct origin *origins[LOADED];

    workplace_allow_seconds(800);
    struct gateway *gateway = start_loaded(origins);
    struct load *load = load_new(&(struct load_options){.gateway = gateway,
                                                        .hosts = &host,
                                                        .host_count = 1,
                                                        .connections = CALLERS,
                                                        .threads = CALLERS});
    for (int i = 0; i < LOADED; i++)
        load_add_origin(load, origins[i], i);
    load_start(load);
    wait_answers(load, count / 2);
    expect_hanging_one_is_left_alone(load, origins[HANGS], count / 10);
    wait_answers(load, count / 4);
    load_end(load);
    gateway_stop(gateway);
    load_expect_nothing_lost(load);
}
