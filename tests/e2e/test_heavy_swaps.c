/*
 * Everything changes while everything runs: numbered requests on 64 kept connections, a stream of
 * new handshakes, 20 tunnels and 10 slow downloads go on through swaps of every kind, and nothing
 * fails, nothing is cut, nobody sees what `reload` said is gone. SALLYPORT_TEST_SWAPS (40) is the
 * number of swaps; 300 for the full proof.
 */
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/long_lived.h"
#include "harness/monitor.h"
#include "harness/swap_world.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(heavy_swaps);

/* Whether this gateway knows the key `watch` and takes changes without a word. */
#define WATCHES 1

/* What stderr says of a watched change that was quarantined or refused. */
#define SAYS_QUARANTINED "quarantine"
#define SAYS_REFUSED     "reload_refused"

#define CONNECTIONS   64
#define LOAD_THREADS  4
#define SHAKE_THREADS 2
#define TUNNELS       20
#define DOWNLOADS     10
#define PIECE         ((uint64_t)96 * 1024) /* of each download, in a swap */
#define ROOM_KIB      4096

struct trial {
    struct swap_world *world;
    struct gateway *gateway;
    struct load *load;
    struct long_lived *company;
    long long generation;
    bool is_watched;
    size_t heard; /* of stderr */

    bool is_shaking, is_over;
    long handshakes;
    pthread_t shakers[SHAKE_THREADS];
};

/* --- new handshakes, all the time ----------------------------------------------------------------
 */

static void shake_once(struct trial *trial, int site)
{
    struct swap_world *world = trial->world;
    const struct load_host *host = &world->hosts[site];
    struct history *certificate = world->certificates[site == GUEST ? STEADY : site];
    int moment = history_moment(certificate);
    struct client *client;
    int number = swap_shake_hands(world, trial->gateway, host->sni, &client);

    if (!history_allows(certificate, moment, number))
        workplace_note("%s got certificate %d (alert %d), when %d was the newest", host->sni,
                       number, client != NULL ? client->alert : 0, history_newest(certificate));
    if (number >= 0)
        load_ask(trial->load, client, host);
    if (client != NULL)
        client_free(client);
}

static void *shake_on(void *arg)
{
    struct trial *trial = arg;
    bool is_over = false;

    for (int i = 0; !is_over; i++) {
        shake_once(trial, i % SITES);
        monitor_lock();
        trial->handshakes++;
        is_over = trial->is_over;
        monitor_changed();
        monitor_unlock();
    }
    return NULL;
}

static void stop_shaking(void *arg)
{
    struct trial *trial = arg;

    if (!trial->is_shaking)
        return;
    trial->is_shaking = false;
    monitor_lock();
    trial->is_over = true;
    monitor_unlock();
    for (int i = 0; i < SHAKE_THREADS; i++)
        pthread_join(trial->shakers[i], NULL);
}

static void trial_free(void *arg)
{
    stop_shaking(arg); /* of a test that failed */
    free(arg);
}

struct aim {
    struct trial *trial;
    long handshakes;
};

static bool has_shaken(void *arg)
{
    struct aim *aim = arg;
    return aim->trial->handshakes >= aim->handshakes;
}

/* Everybody has got on since the last swap. */
static void wait_for_progress(struct trial *trial)
{
    monitor_lock();
    struct aim aim = {trial, trial->handshakes + 2 * SITES};
    bool reached = monitor_wait_locked(has_shaken, &aim);
    monitor_unlock();
    workplace_require(reached, "no new handshakes");
    load_wait_answers(trial->load, 2 * CONNECTIONS);
    long_lived_wait(trial->company);
    workplace_settle();
}

/* --- what is said of a swap ----------------------------------------------------------------------
 */

static long long generation_of_status(void)
{
    json_t *status = json_from(ask_admin("GET", "/status")->body);

    return json_integer_value(json_member(status, "generation"));
}

static void expect_generation(struct trial *trial)
{
    long long generation = generation_of_status();

    workplace_require(generation == trial->generation, "/status says generation %lld, not %lld",
                      generation, trial->generation);
}

static json_t *expect_accepted(struct trial *trial)
{
    struct message *response = ask_admin("POST", "/reload");

    expect_status(response, 200);
    json_t *answer = json_from(response->body);
    size_t quarantined = json_array_size(json_member(answer, "quarantined"));
    workplace_require((quarantined > 0) == trial->world->has_broken_cert, "quarantined, or not: %s",
                      response->body);
    return answer;
}

static void expect_refused(void)
{
    struct message *response = ask_admin("POST", "/reload");

    expect_status(response, 422);
    cr_assert_geq(json_array_size(json_member(json_from(response->body), "errors")), 1);
}

static void reload_after(struct trial *trial, enum swap_outcome outcome)
{
    if (outcome == SWAP_REFUSED) {
        expect_refused();
        expect_generation(trial);
        swap_mend_routes(trial->world);
        return;
    }
    json_t *answer = expect_accepted(trial);
    long long generation = json_integer_value(json_member(answer, "generation"));
    if (outcome == SWAP_TAKEN)
        workplace_require(generation == trial->generation + 1 &&
                              json_is_false(json_member(answer, "unchanged")),
                          "after generation %lld came %lld", trial->generation, generation);
    cr_assert_geq(generation, trial->generation);
    trial->generation = generation;
    expect_generation(trial);
}

/* --- nobody says a word --------------------------------------------------------------------------
 */

static bool shows_the_newest(struct trial *trial, int site)
{
    const struct load_host *host = &trial->world->hosts[site];
    struct history *certificate = trial->world->certificates[site == GUEST ? STEADY : site];
    struct client *client;
    int number = swap_shake_hands(trial->world, trial->gateway, host->sni, &client);
    bool is_newest = number == history_newest(certificate);

    if (is_newest && number >= 0)
        is_newest = load_ask(trial->load, client, host) == history_newest(host->answerer);
    if (client != NULL)
        client_free(client);
    return is_newest;
}

/* A change that was seen is in force once a load after it has been answered: they are served one by
 * one. That load finds nothing left to do, or a route file that is still wrong. */
static void expect_nothing_left(struct trial *trial)
{
    if (trial->world->has_broken_routes) {
        expect_refused();
        return;
    }
    json_t *answer = expect_accepted(trial);
    cr_assert(json_is_true(json_member(answer, "unchanged")), "something was not taken by itself");
}

static void wait_until_taken(struct trial *trial, enum swap_outcome outcome)
{
    long long start = monitor_now_ms();

    if (outcome == SWAP_REFUSED) {
        gateway_wait_stderr(trial->gateway, SAYS_REFUSED, &trial->heard);
        expect_generation(trial);
        return;
    }
    if (outcome == SWAP_QUARANTINED)
        gateway_wait_stderr(trial->gateway, SAYS_QUARANTINED, &trial->heard);
    for (int site = 0; site < SITES; site++) {
        while (!shows_the_newest(trial, site))
            workplace_require(monitor_may_ask_again(start), "the change of %s is not taken",
                              trial->world->hosts[site].name);
    }
    /* Some changes do not show at any site. */
    while (outcome == SWAP_TAKEN && generation_of_status() == trial->generation)
        workplace_require(monitor_may_ask_again(start), "the change is not taken");
    expect_nothing_left(trial);
    long long generation = generation_of_status();
    workplace_require(outcome != SWAP_TAKEN || generation > trial->generation,
                      "taken, and generation %lld goes on", generation);
    trial->generation = generation;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static struct trial *begin(int swaps, const char *watch)
{
    static uint64_t pattern_bytes;
    struct swap_world *world =
        swap_world_new(&(struct swap_options){.watch = WATCHES ? watch : NULL, .swaps = swaps});

    pattern_bytes = PIECE * (uint64_t)swaps + ((uint64_t)16 << 20);
    struct trial *trial = calloc(1, sizeof *trial);
    trial->is_watched = strcmp(watch, "off") != 0;
    trial->world = world;
    trial->gateway = gateway_start_with(
        &(struct gateway_options){.routes = workplace_path("routes.json"), .workers = 2});
    trial->generation = 1;
    trial->load = load_new(&(struct load_options){.gateway = trial->gateway,
                                                  .hosts = world->hosts,
                                                  .host_count = COMES,
                                                  .connections = CONNECTIONS,
                                                  .threads = LOAD_THREADS,
                                                  .posts = true});
    for (int i = 0; i < SWAP_ORIGINS; i++) {
        load_add_origin(trial->load, world->origins[i], i);
        origin_set_script(world->origins[i], "/ws", origin_upgrade_echo, NULL);
        origin_set_script(world->origins[i], "/down", origin_send_pattern, &pattern_bytes);
    }
    trial->company = long_lived_start(&(struct long_lived_options){.gateway = trial->gateway,
                                                                   .sni = world->hosts[GUEST].sni,
                                                                   .host = world->hosts[GUEST].name,
                                                                   .tunnels = TUNNELS,
                                                                   .downloads = DOWNLOADS,
                                                                   .pattern_bytes = pattern_bytes});
    load_start(trial->load);
    workplace_own(trial, trial_free); /* first of all to end */
    for (int i = 0; i < SHAKE_THREADS; i++)
        cr_assert_eq(pthread_create(&trial->shakers[i], NULL, shake_on, trial), 0);
    trial->is_shaking = true;
    wait_for_progress(trial);
    return trial;
}

static void end(struct trial *trial)
{
    stop_shaking(trial);
    load_end(trial->load);
    long_lived_end(trial->company);
    gateway_stop(trial->gateway);
    load_expect_nothing_lost(trial->load);
}

static void swap_under_load(const char *watch)
{
    int swaps = (int)workplace_number("SALLYPORT_TEST_SWAPS", 40);
    long after_ten = 0;

    workplace_allow_seconds(840);
    struct trial *trial = begin(swaps, watch);
    long long start = monitor_now_ms();
    for (int i = 0; i < swaps; i++) {
        long_lived_read_on(trial->company, PIECE);
        if (trial->is_watched)
            trial->heard = strlen(gateway_stderr(trial->gateway));
        enum swap_outcome outcome = swap_make(trial->world, i);
        if (trial->is_watched)
            wait_until_taken(trial, outcome);
        else
            reload_after(trial, outcome);
        swap_settle(trial->world);
        wait_for_progress(trial);
        if (i == 9)
            after_ten = gateway_rss_kib(trial->gateway);
    }
    long now = gateway_rss_kib(trial->gateway);
    long long took = monitor_now_ms() - start;
    bool is_sanitized = gateway_is_sanitized(trial->gateway);
    end(trial);
    fprintf(stderr,
            "%d swaps in %lld ms: %d requests, %ld handshakes, %ld echoes; %ld KiB after ten "
            "swaps, %ld after all\n",
            swaps, took, load_sent(trial->load), trial->handshakes,
            long_lived_echoes(trial->company), after_ten, now);
    workplace_require(is_sanitized || swaps < 10 || now - after_ten <= ROOM_KIB,
                      "memory went from %ld KiB to %ld", after_ten, now);
}

Test(heavy_swaps, nothing_is_lost_by_reloads)
{
    swap_under_load("off");
}

#if WATCHES
Test(heavy_swaps, nothing_is_lost_while_nobody_says_a_word)
{
    swap_under_load("all");
}
#endif

/* --- memory --------------------------------------------------------------------------------------
 */

#define MANY 500

/* A route file of many hosts; what all others get says which version of it this is. */
static void write_many_routes(int version)
{
    static char routes[MANY * 40];
    size_t length = 0;

    for (int i = 0; i < MANY; i++)
        length += (size_t)snprintf(routes + length, sizeof routes - length,
                                   "'host-%d.example': '127.0.0.1:1', ", i);
    gateway_rewrite("{ @base, 'routes': { 'a.test': 'unix:@tmp/origin', %s"
                    "  '*': { 'respond': { 'body': '%d' } } } }",
                    routes, version);
}

Test(heavy_swaps, memory_after_a_hundred_swaps_is_where_it_was_after_ten)
{
    struct origin *origin = origin_start_at("one", text("unix:%s/origin", workplace_folder()));
    long after_ten = 0;

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    for (int i = 0; i < MANY; i++)
        cert_write_bundle(cert_new(text("host-%d.example", i)), workplace_path("certs/%d.pem", i));
    write_many_routes(0);
    struct gateway *gateway = gateway_start_with(
        &(struct gateway_options){.routes = workplace_path("routes.json"), .workers = 2});
    bool is_sanitized = gateway_is_sanitized(gateway);
    struct long_lived *tunnel = long_lived_start(&(struct long_lived_options){
        .gateway = gateway, .sni = "a.test", .host = "a.test", .tunnels = 1});

    for (int i = 1; i <= (is_sanitized ? 10 : 100); i++) {
        struct cert *renewed = cert_new("host-0.example");
        cert_write_bundle(renewed, workplace_path("certs/0.pem"));
        if (i % 2 == 0)
            write_many_routes(i);
        expect_status(ask_admin("POST", "/reload"), 200);
        struct client *client = client_open(gateway, "host-0.example");
        cr_assert(cert_is(renewed, client_peer(client)), "swap %d brought nothing", i);
        client_close(client);
        long_lived_wait(tunnel);
        if (i == 10)
            after_ten = gateway_rss_kib(gateway);
    }
    long now = gateway_rss_kib(gateway);
    long_lived_end(tunnel);
    gateway_stop(gateway);
    fprintf(stderr, "%ld KiB after ten swaps, %ld KiB at the end\n", after_ten, now);
    workplace_require(is_sanitized || now - after_ten <= ROOM_KIB,
                      "memory went from %ld KiB to %ld", after_ten, now);
}
