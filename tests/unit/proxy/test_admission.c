#include "proxy/admission.h"

#include "base/log.h"
#include "net/descriptors.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static struct admission *admission;
static struct client_limits limits;

static void begin(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    limits = (struct client_limits){0};
    admission = admission_new();
    cr_assert_not_null(admission);
}

/* Nobody may be left: admission_free asserts it. */
static void end(void)
{
    admission_free(admission);
}

TestSuite(admission, .init = begin, .fini = end, .timeout = 240);

static struct address from(const char *ip)
{
    struct address address;
    cr_assert(address_parse_ip(slice_of(ip), 1234, &address), "%s", ip);
    return address;
}

static enum refusal enter_as(const char *ip, bool shakes_hands, struct admission_pass *pass)
{
    const struct address peer = from(ip);
    return admission_enter(admission, &limits,
                           &(struct arrival){.shakes_hands = shakes_hands, .peer = &peer}, pass);
}

static void leave(struct admission_pass *pass)
{
    admission_leave(admission, pass);
}

Test(admission, counts_without_limits_too)
{
    struct admission_pass one, two, three;

    cr_assert_eq(enter_as("10.0.0.1", true, &one), REFUSAL_NONE);
    cr_assert_eq(enter_as("10.0.0.1", false, &two), REFUSAL_NONE);
    cr_expect_eq(admission_connections(admission), 2);
    cr_expect_eq(admission_handshakes(admission), 1);
    cr_expect_eq(admission_addresses(admission), 1);
    limits.connections = 2; /* set by a reload: exact at once */
    cr_expect_eq(enter_as("10.0.0.2", false, &three), REFUSAL_CONNECTIONS);
    limits = (struct client_limits){.connections_per_ip = 2};
    cr_expect_eq(enter_as("10.0.0.1", false, &three), REFUSAL_CONNECTIONS_PER_IP);
    limits = (struct client_limits){.handshakes = 1};
    cr_expect_eq(enter_as("10.0.0.1", true, &three), REFUSAL_HANDSHAKES);
    leave(&one);
    leave(&two);
    cr_expect_eq(admission_connections(admission), 0);
    cr_expect_eq(admission_addresses(admission), 0);
}

Test(admission, what_is_refused_holds_nothing)
{
    struct admission_pass in, out;

    limits = (struct client_limits){.connections = 1};
    cr_assert_eq(enter_as("10.0.0.1", false, &in), REFUSAL_NONE);
    cr_assert_eq(enter_as("10.0.0.2", true, &out), REFUSAL_CONNECTIONS);
    cr_expect_eq(admission_connections(admission), 1);
    cr_expect_eq(admission_handshakes(admission), 0);
    cr_expect_eq(admission_addresses(admission), 1);
    leave(&out); /* harmless */
    leave(&in);
    cr_assert_eq(enter_as("10.0.0.2", true, &in), REFUSAL_NONE);
    leave(&in);
}

Test(admission, handshakes_end_before_connections)
{
    struct admission_pass one, two;

    limits = (struct client_limits){.handshakes = 1};
    cr_assert_eq(enter_as("10.0.0.1", true, &one), REFUSAL_NONE);
    cr_assert_eq(enter_as("10.0.0.2", true, &two), REFUSAL_HANDSHAKES);
    cr_assert_eq(enter_as("10.0.0.2", false, &two), REFUSAL_NONE, "plaintext has none");
    leave(&two);
    admission_end_handshake(admission, &one);
    admission_end_handshake(admission, &one); /* once is all */
    cr_assert_eq(enter_as("10.0.0.2", true, &two), REFUSAL_NONE);
    cr_expect_eq(admission_connections(admission), 2);
    leave(&one);
    leave(&two);
    cr_expect_eq(admission_handshakes(admission), 0);
}

Test(admission, whom_a_connection_is_charged_to)
{
    static const struct {
        const char *first, *second;
        bool is_same;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"2001:db8:1:2:3::4", "2001:db8:1:2:ffff::", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::1", "0.0.0.0", false}, /* the same bits in another family */
        {"::1", "::2", true},
    };

    limits.connections_per_ip = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct admission_pass first, second;
        cr_assert_eq(enter_as(rows[i].first, false, &first), REFUSAL_NONE);
        cr_expect_eq(enter_as(rows[i].second, false, &second),
                     rows[i].is_same ? REFUSAL_CONNECTIONS_PER_IP : REFUSAL_NONE, "%s and %s",
                     rows[i].first, rows[i].second);
        leave(&first);
        leave(&second);
    }
}

Test(admission, unix_sockets_are_charged_to_nobody)
{
    const struct address local = {.as.any.sa_family = AF_UNIX};
    struct admission_pass passes[2];

    limits.connections_per_ip = 1;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(
            admission_enter(admission, &limits, &(struct arrival){.peer = &local}, &passes[i]),
            REFUSAL_NONE);
    cr_expect_eq(admission_addresses(admission), 0);
    leave(&passes[0]);
    leave(&passes[1]);
}

Test(admission, an_address_that_is_known_later)
{
    const struct address peer = from("10.0.0.1");
    struct admission_pass passes[2];

    limits.connections_per_ip = 1;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(admission_enter(admission, &limits, &(struct arrival){0}, &passes[i]),
                     REFUSAL_NONE);
    cr_expect_eq(admission_charge(admission, &limits, &peer, 1, &passes[0]), REFUSAL_NONE);
    cr_expect_eq(admission_charge(admission, &limits, &peer, 1, &passes[1]),
                 REFUSAL_CONNECTIONS_PER_IP);
    cr_expect_eq(admission_connections(admission), 2, "it is still to be closed");
    leave(&passes[1]);
    leave(&passes[0]);
    cr_expect_eq(admission_addresses(admission), 0);
}

/* --- events --------------------------------------------------------------------------------------
 */

static int events, saved_stderr;

static void begin_events(void)
{
    char name[] = "/tmp/sallyport-test-XXXXXX";

    saved_stderr = dup(STDERR_FILENO);
    log_configure(LOG_INFO, LOG_TEXT);
    events = mkstemp(name);
    unlink(name);
    dup2(events, STDERR_FILENO);
}

static void end_events(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(events);
}

static unsigned count_events(const char *words)
{
    static char text[100000];
    ssize_t length = pread(events, text, sizeof(text) - 1, 0);
    unsigned count = 0;
    text[length > 0 ? length : 0] = '\0';
    for (char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static enum refusal enter_at(uint64_t now_ms, struct admission_pass *pass)
{
    const struct address peer = from("10.0.0.1");
    return admission_enter(admission, &limits, &(struct arrival){.peer = &peer, .now_ms = now_ms},
                           pass);
}

Test(admission, is_told_once_until_it_is_over)
{
    struct admission_pass in, out;

    begin_events();
    limits.connections = 1;
    enter_at(1000, &in);
    for (uint64_t now_ms = 1000; now_ms < 20000; now_ms += 100)
        cr_assert_eq(enter_at(now_ms, &out), REFUSAL_CONNECTIONS);
    cr_expect_eq(count_events("clients_refused"), 1);
    cr_expect_eq(count_events("raise defaults.limits.connections"), 1);
    for (uint64_t now_ms = 20000; now_ms < 24000; now_ms += 100) {
        leave(&in);
        cr_assert_eq(enter_at(now_ms, &in), REFUSAL_NONE);
    }
    cr_expect_eq(count_events("clients_admitted"), 0, "it may begin anew any moment");
    leave(&in);
    enter_at(26000, &in);
    cr_expect_eq(count_events("clients_admitted"), 1);
    cr_expect_eq(count_events("190 connections were"), 1);
    cr_assert_eq(enter_at(26100, &out), REFUSAL_CONNECTIONS);
    cr_expect_eq(count_events("clients_refused"), 2);
    leave(&in);
    end_events();
}

/* A reload may have set the limit below what is open: it is the limit that is told, and no count
 * that is wrong. */
Test(admission, says_the_limit_and_not_how_many_there_are)
{
    struct admission_pass in[3], out;

    begin_events();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(enter_at(1000, &in[i]), REFUSAL_NONE);
    limits.connections = 2;
    cr_assert_eq(enter_at(1000, &out), REFUSAL_CONNECTIONS);
    limits = (struct client_limits){.connections_per_ip = 2};
    cr_assert_eq(enter_at(1000, &out), REFUSAL_CONNECTIONS_PER_IP);
    cr_expect_eq(count_events("no more than 2 connections at once"), 1);
    cr_expect_eq(count_events("no more than 2 connections of 10.0.0.1"), 1);
    for (int i = 0; i < 3; i++)
        leave(&in[i]);
    end_events();
}

/* --- many threads --------------------------------------------------------------------------------
 */

enum { THREADS = 8, ROUNDS = 20000, HELD = 8, MOST = 20, MOST_OF_ONE = 4 };

static atomic_uint inside, inside_of[4], handshakes_inside;
static atomic_uint too_many, let_in;

static void note_in(atomic_uint *count, unsigned most)
{
    if (atomic_fetch_add(count, 1) >= most)
        atomic_fetch_add(&too_many, 1);
}

/* Counts itself after it was let in and before it leaves: never more than there are. */
static void *come_and_go(void *seed_of)
{
    unsigned seed = *(unsigned *)seed_of;
    struct admission_pass passes[HELD] = {0};
    struct address addresses[4];
    unsigned who[HELD] = {0};

    for (unsigned i = 0; i < 4; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.0.0.%u", i);
        addresses[i] = from(ip);
    }
    for (int round = 0; round < ROUNDS; round++) {
        unsigned at = (unsigned)rand_r(&seed) % HELD;
        if (passes[at].is_connection) {
            atomic_fetch_sub(&inside_of[who[at]], 1);
            atomic_fetch_sub(&inside, 1);
            if (passes[at].is_handshake)
                atomic_fetch_sub(&handshakes_inside, 1);
            leave(&passes[at]);
            continue;
        }
        who[at] = (unsigned)rand_r(&seed) % 4;
        const struct arrival arrival = {.peer = &addresses[who[at]],
                                        .shakes_hands = rand_r(&seed) % 2 == 0};
        if (admission_enter(admission, &limits, &arrival, &passes[at]) != REFUSAL_NONE)
            continue;
        atomic_fetch_add(&let_in, 1);
        note_in(&inside, MOST);
        note_in(&inside_of[who[at]], MOST_OF_ONE);
        if (passes[at].is_handshake)
            note_in(&handshakes_inside, MOST / 4);
    }
    for (int i = 0; i < HELD; i++) {
        if (!passes[i].is_connection)
            continue;
        atomic_fetch_sub(&inside_of[who[i]], 1);
        atomic_fetch_sub(&inside, 1);
        if (passes[i].is_handshake)
            atomic_fetch_sub(&handshakes_inside, 1);
        leave(&passes[i]);
    }
    return NULL;
}

Test(admission, never_more_than_the_limit_whoever_comes)
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];

    limits = (struct client_limits){
        .connections = MOST, .connections_per_ip = MOST_OF_ONE, .handshakes = MOST / 4};
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(too_many, 0);
    cr_expect_gt(let_in, THREADS);
    cr_expect_eq(admission_connections(admission), 0);
    cr_expect_eq(admission_handshakes(admission), 0);
    cr_expect_eq(admission_addresses(admission), 0);
}

/* With a limit that as many as there are threads cannot reach nobody is ever refused: one who is
 * on the way in, or is refused, does not stand in another's place. */
Test(admission, nobody_is_refused_in_vain)
{
    struct admission_pass held[MOST - 1];

    limits = (struct client_limits){.connections = MOST, .connections_per_ip = 1};
    for (unsigned i = 0; i < MOST - 1; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.0.1.%u", i);
        cr_assert_eq(enter_as(ip, false, &held[i]), REFUSAL_NONE);
    }
    /* The last place is free, and stays so however many are refused for their address. */
    for (int i = 0; i < 1000; i++) {
        struct admission_pass pass;
        cr_assert_eq(enter_as("10.0.1.0", false, &pass), REFUSAL_CONNECTIONS_PER_IP);
    }
    struct admission_pass last;
    cr_assert_eq(enter_as("10.0.2.0", false, &last), REFUSAL_NONE);
    leave(&last);
    for (unsigned i = 0; i < MOST - 1; i++)
        leave(&held[i]);
}

/* Of 64 descriptors 28 are for clients, whose backends have as many. */
Test(admission, requests_beyond_the_first_use_what_no_client_does)
{
    const struct rlimit files = {.rlim_cur = 64, .rlim_max = 64};
    const struct address peer = from("10.0.0.1");
    struct admission_pass held[8];

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    descriptors_begin();
    for (int i = 0; i < 8; i++)
        cr_assert_eq(enter_as("10.0.0.1", false, &held[i]), REFUSAL_NONE);
    for (int i = 0; i < 20; i++)
        cr_assert(admission_enter_request(admission, &limits, &peer, 0));
    cr_expect_not(admission_enter_request(admission, &limits, &peer, 0));
    cr_expect_eq(admission_requests(admission), 20);
    leave(&held[0]);
    cr_expect(admission_enter_request(admission, &limits, &peer, 0));
    cr_expect_not(admission_enter_request(admission, &limits, &peer, 0));
    cr_expect_eq(enter_as("10.0.0.2", false, &held[0]), REFUSAL_NONE); /* who comes is let in */
    admission_leave_requests(admission, 21);
    cr_expect_eq(admission_requests(admission), 0);
    for (int i = 0; i < 8; i++)
        leave(&held[i]);
}
