/* Two drawn by weight, and the one whose next answer is to be expected sooner. */
#include "support/balancer_fixture.h"

#include <criterion/criterion.h>

enum { SECOND_US = 1000 * 1000 };

static void set_up(struct balancer_fixture *f, const uint16_t *weights, unsigned count)
{
    balancer_fixture_init(f, BALANCE_LATENCY, weights, count);
}

static void note(struct balancer_fixture *f, unsigned index, uint64_t latency_us)
{
    peak_ewma_note(&f->servers[index]->share.latency, f->ask.now_us, latency_us);
}

static void expect_always(struct balancer_fixture *f, int expected)
{
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(balancer_fixture_pick(f), expected, "pick %u", i);
}

Test(balance_latency, the_faster_one_until_more_wait_for_it)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    note(&f, 0, 1000);
    note(&f, 1, 4500);
    for (uint32_t i = 0; i < 4; i++) {
        f.in_flight[0] = i;
        expect_always(&f, 0);
    }
    f.in_flight[0] = 4; /* five of 1000, then, against one of 4500 */
    expect_always(&f, 1);
    f.in_flight[1] = 1;
    expect_always(&f, 0);
    note(&f, 0, 9000); /* believed at once */
    expect_always(&f, 1);
    balancer_fixture_clear(&f);
}

Test(balance_latency, weight_counts)
{
    static const uint16_t weights[] = {1, 4};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    note(&f, 0, 1000);
    note(&f, 1, 1000);
    f.in_flight[1] = 2;
    expect_always(&f, 1);
    f.in_flight[1] = 4;
    expect_always(&f, 0);
    balancer_fixture_clear(&f);
}

Test(balance_latency, one_that_was_never_measured_is_tried_by_few_at_once)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    note(&f, 0, 10);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(balancer_fixture_pick(&f), 1);
        f.in_flight[1]++;
    }
    expect_always(&f, 0); /* it may never answer */
    f.in_flight[0] = 1000;
    expect_always(&f, 0);
    note(&f, 1, 20);
    expect_always(&f, 1);
    balancer_fixture_clear(&f);
}

/* Others may keep it busy all the time: this worker gets to know it nevertheless. */
Test(balance_latency, one_that_was_never_measured_is_tried_again_each_second)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    f.in_flight[1] = 100;
    for (unsigned i = 0; i < 5; i++) {
        note(&f, 0, 10);
        cr_assert_eq(balancer_fixture_pick(&f), 1);
        expect_always(&f, 0);
        f.ask.now_us += SECOND_US;
    }
    balancer_fixture_clear(&f);
}

Test(balance_latency, nobody_was_measured_yet)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    unsigned got[2] = {0};
    set_up(&f, weights, 2);
    for (unsigned i = 0; i < 1000; i++)
        got[balancer_fixture_pick(&f)]++;
    cr_assert(got[0] > 400 && got[1] > 400, "%u, %u", got[0], got[1]);
    f.in_flight[0] = 20;
    f.in_flight[1] = 10; /* no probe more: who has fewer */
    expect_always(&f, 1);
    balancer_fixture_clear(&f);
}

Test(balance_latency, one_that_was_slow_is_asked_again_when_that_is_long_ago)
{
    static const uint16_t weights[] = {1, 1};
    struct balancer_fixture f;
    set_up(&f, weights, 2);
    note(&f, 1, 20 * 1000);
    for (unsigned seconds = 0; seconds < 29; seconds++) { /* ln 20 is 2.996 */
        note(&f, 0, 1000);
        expect_always(&f, 0);
        f.ask.now_us += SECOND_US;
    }
    f.ask.now_us += SECOND_US;
    note(&f, 0, 1000);
    expect_always(&f, 1);
    balancer_fixture_clear(&f);
}

/* --- a model: sixteen requests are always in flight ---------------------------------------- */

enum { IN_FLIGHT = 16, REQUESTS = 20000 };

struct request {
    unsigned server;
    uint64_t start_us, end_us;
};

static void begin(struct balancer_fixture *f, struct request *request, const uint64_t *latency_us)
{
    request->server = (unsigned)balancer_fixture_pick(f);
    request->start_us = f->ask.now_us;
    request->end_us = f->ask.now_us + latency_us[request->server];
    f->in_flight[request->server]++;
}

static struct request *first_to_end(struct request *requests)
{
    struct request *first = &requests[0];
    for (unsigned i = 1; i < IN_FLIGHT; i++) {
        if (requests[i].end_us < first->end_us)
            first = &requests[i];
    }
    return first;
}

Test(balance_latency, one_of_four_that_is_20_times_slower_gets_next_to_nothing)
{
    static const uint16_t weights[] = {1, 1, 1, 1};
    static const uint64_t latency_us[] = {1000, 1100, 20000, 900};
    struct balancer_fixture f;
    struct request requests[IN_FLIGHT];
    unsigned got[4] = {0};
    set_up(&f, weights, 4);
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        begin(&f, &requests[i], latency_us);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct request *ended = first_to_end(requests);
        f.ask.now_us = ended->end_us;
        got[ended->server]++;
        f.in_flight[ended->server]--;
        note(&f, ended->server, ended->end_us - ended->start_us);
        begin(&f, ended, latency_us);
    }
    cr_assert_lt(got[2], REQUESTS / 500, "%u of %d", got[2], REQUESTS);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(i == 2 || got[i] > REQUESTS / 4, "server %u: %u", i, got[i]);
    balancer_fixture_clear(&f);
}
