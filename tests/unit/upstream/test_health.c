/* What checks make of a server, and when they are made. */
#include "upstream/health.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* --- what is thought of a server ------------------------------------------------------------ */

struct course {
    unsigned rise, fall;
    const char *checks; /* g: good, b: bad, n: undecided */
    const char *states; /* after each: . for unknown, + for up, - for down */
};

static const struct course courses[] = {
    {2, 3, "gg", ".+"},
    {2, 3, "bbb", "..-"},
    {1, 1, "gbgb", "+-+-"},
    /* in a row, not in all */
    {2, 3, "gbgbgg", ".....+"},
    {2, 3, "bbgbbgbbb", "........-"},
    {2, 3, "ggbbgbbb", ".++++++-"},
    {2, 3, "bbbgbggbbb", "..----+++-"},
    /* what says nothing is no link and no break */
    {2, 3, "gngnbnnbnnnb", "..+++++++++-"},
    {2, 3, "nnnnn", "....."},
    {3, 1, "bggngg", "----++"},
};

static enum check_verdict state_from(char letter)
{
    return letter == '.' ? CHECK_UNKNOWN : letter == '+' ? CHECK_UP : CHECK_DOWN;
}

Test(health, so_many_in_a_row_change_what_is_thought_of_a_server)
{
    for (size_t i = 0; i < sizeof(courses) / sizeof(courses[0]); i++) {
        const struct course *course = &courses[i];
        const struct health_spec spec = {.rise = course->rise, .fall = course->fall};
        struct health health = {0};
        cr_assert_eq(strlen(course->checks), strlen(course->states), "%s", course->checks);
        for (size_t n = 0; course->checks[n] != '\0'; n++) {
            enum check_verdict before = health.verdict;
            struct health_outcome outcome = {.result = course->checks[n] == 'g' ? HEALTH_GOOD
                                                       : course->checks[n] == 'b'
                                                           ? HEALTH_TIMEOUT
                                                           : HEALTH_UNDECIDED};
            bool has_changed = health_note(&health, &spec, outcome);
            cr_expect_eq(health.verdict, state_from(course->states[n]), "%s[%zu]", course->checks,
                         n);
            cr_expect_eq(has_changed, health.verdict != before, "%s[%zu]", course->checks, n);
        }
    }
}

Test(health, the_reason_is_that_of_the_last_bad_check)
{
    const struct health_spec spec = {.rise = 1, .fall = 2};
    struct health health = {0};
    cr_assert_not(health_note(&health, &spec, (struct health_outcome){HEALTH_TIMEOUT, 0}));
    cr_assert(health_note(&health, &spec, (struct health_outcome){HEALTH_STATUS, 503}));
    cr_assert_eq(health.bad.status, 503);
    cr_assert_eq(health.in_a_row, 2);
    health_note(&health, &spec, (struct health_outcome){HEALTH_UNDECIDED, 0});
    cr_assert(health_note(&health, &spec, (struct health_outcome){HEALTH_GOOD, 200}));
    cr_assert_eq(health.bad.result, HEALTH_STATUS);
    cr_assert_eq(health.in_a_row, 1);
}

/* A route file that asks for fewer in a row takes what was seen into account. */
Test(health, other_counts_hold_from_the_next_check_on)
{
    struct health_spec spec = {.rise = 2, .fall = 10};
    struct health health = {0};
    for (int i = 0; i < 5; i++)
        cr_assert_not(health_note(&health, &spec, (struct health_outcome){HEALTH_CLOSED, 0}));
    spec.fall = 3;
    cr_assert(health_note(&health, &spec, (struct health_outcome){HEALTH_CLOSED, 0}));
    cr_assert_eq(health.verdict, CHECK_DOWN);
}

Test(health, every_result_and_state_has_its_word)
{
    for (int a = 0; a < HEALTH_RESULTS; a++)
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(health_result_name((enum health_result)a),
                              health_result_name((enum health_result)b));
    cr_assert_str_eq(check_verdict_name(CHECK_UNKNOWN), "unknown");
    cr_assert_str_eq(check_verdict_name(CHECK_UP), "up");
    cr_assert_str_eq(check_verdict_name(CHECK_DOWN), "down");
}

/* --- when ----------------------------------------------------------------------------------- */

enum { START_MS = 1000000, BIN_MS = 100, BINS = 1200 };

/* The servers of a process, each due at some millisecond: lists by that, of numbers from 1. */
struct world {
    struct health_schedule schedule;
    unsigned servers;
    uint64_t every_ms;
    unsigned *next;  /* by server: the one due in the same millisecond */
    unsigned *due;   /* by millisecond */
    unsigned *begun; /* by server: its checks */
    unsigned bins[BINS];
};

static void file(struct world *w, unsigned server, uint64_t at_ms)
{
    if (at_ms >= (uint64_t)BINS * BIN_MS)
        return;
    w->next[server] = w->due[at_ms];
    w->due[at_ms] = server;
}

/* As control/health_checks.c does: what is due begins in turn, when it may. */
static void run(struct world *w)
{
    unsigned *turn = calloc((size_t)BINS * w->servers + 1, sizeof(*turn));
    size_t first = 0, last = 0;
    for (unsigned server = 1; server <= w->servers; server++)
        file(w, server, 0);
    for (uint64_t now_ms = 0; now_ms < (uint64_t)BINS * BIN_MS; now_ms++) {
        for (unsigned server = w->due[now_ms]; server != 0; server = w->next[server])
            turn[last++] = server;
        while (first < last &&
               health_schedule_take(&w->schedule, START_MS + now_ms, w->begun[turn[first]] == 0)) {
            unsigned server = turn[first++];
            bool is_second = w->begun[server]++ == 0;
            w->bins[now_ms / BIN_MS]++;
            file(w, server, now_ms + health_schedule_next_ms(&w->schedule, w->every_ms, is_second));
        }
    }
    free(turn);
}

static void make_world(struct world *w, unsigned servers, uint64_t every_ms)
{
    *w = (struct world){.servers = servers, .every_ms = every_ms};
    health_schedule_init(&w->schedule, 42);
    w->next = calloc(servers + 1, sizeof(unsigned));
    w->begun = calloc(servers + 1, sizeof(unsigned));
    w->due = calloc((size_t)BINS * BIN_MS, sizeof(unsigned));
    run(w);
}

static void clear_world(struct world *w)
{
    free(w->next);
    free(w->begun);
    free(w->due);
}

static unsigned sum_of(const struct world *w, int from, int to)
{
    unsigned sum = 0;
    for (int i = from; i < to; i++)
        sum += w->bins[i];
    return sum;
}

/* From bin `from` on no `width` of them together have more than `most` times their mean. */
static void expect_smooth(const struct world *w, int from, int width, double most)
{
    double mean = (double)sum_of(w, from, BINS) / (BINS - from) * width;
    for (int i = from; i + width <= BINS; i++)
        cr_expect_leq(sum_of(w, i, i + width), mean * most, "at bin %d: %u, mean %.1f", i,
                      sum_of(w, i, i + width), mean);
}

Test(health_schedule, ten_thousand_servers_are_checked_evenly)
{
    struct world w;
    make_world(&w, 10000, 10000);
    expect_smooth(&w, 0, 1, 1.65);
    for (unsigned server = 1; server <= w.servers; server++)
        cr_expect(w.begun[server] >= 9 && w.begun[server] <= 14, "server %u: %u checks", server,
                  w.begun[server]);
    clear_world(&w);
}

/* All of them at first, as fast as may be; then evenly, but for chance. */
Test(health_schedule, a_start_leaves_no_wave_behind)
{
    struct world w;
    make_world(&w, 5000, 10000);
    cr_expect_geq(sum_of(&w, 0, 51), 5000);
    expect_smooth(&w, 50 + 50, 10, 1.25);
    clear_world(&w);
}

Test(health_schedule, a_small_setup_is_checked_at_once)
{
    struct world w;
    make_world(&w, HEALTH_BURST, 10000);
    struct health_schedule schedule;
    health_schedule_init(&schedule, 1);
    for (int i = 0; i < HEALTH_BURST; i++)
        cr_assert(health_schedule_take(&schedule, START_MS, true));
    cr_assert_not(health_schedule_take(&schedule, START_MS, true));
    cr_assert(health_schedule_take(&schedule, START_MS + 1, true));
    cr_assert_not(health_schedule_take(&schedule, START_MS + 1, true));
    cr_assert_eq(w.bins[0], HEALTH_BURST);
    clear_world(&w);
}

/* Else servers that ask for all there is would be checked ever later after each stall. */
Test(health_schedule, there_is_room_to_make_up_for_a_stall)
{
    struct health_schedule schedule;
    unsigned begun = 0;
    health_schedule_init(&schedule, 1);
    for (uint64_t ms = 0; ms < 10000; ms++)
        while (health_schedule_take(&schedule, START_MS + ms, false))
            begun++;
    cr_assert(begun >= 12500 && begun <= 12500 + 2 * HEALTH_BURST, "%u", begun);
}

Test(health_schedule, more_than_a_thousand_a_second_wait_for_their_turn)
{
    struct world w;
    make_world(&w, 3000, 1000);
    for (int i = 0; i < BINS; i++)
        cr_expect_leq(w.bins[i], (BIN_MS + HEALTH_BURST) * 5 / 4);
    cr_expect_leq(sum_of(&w, 0, BINS), (BINS * BIN_MS + HEALTH_BURST) * 5 / 4);
    for (unsigned server = 1; server <= w.servers; server++)
        cr_expect(w.begun[server] >= 45 && w.begun[server] <= 52, "server %u: %u checks", server,
                  w.begun[server]);
    clear_world(&w);
}

Test(health_schedule, checks_come_every_so_often_give_or_take_a_tenth)
{
    struct health_schedule schedule;
    health_schedule_init(&schedule, 7);
    for (uint64_t every_ms = 1; every_ms <= 10000; every_ms *= 10) {
        uint64_t least = UINT64_MAX, most = 0;
        for (int i = 0; i < 10000; i++) {
            uint64_t next_ms = health_schedule_next_ms(&schedule, every_ms, false);
            least = next_ms < least ? next_ms : least;
            most = next_ms > most ? next_ms : most;
            uint64_t second_ms = health_schedule_next_ms(&schedule, every_ms, true);
            cr_expect(second_ms > 0 && second_ms >= every_ms / 2 &&
                      second_ms <= every_ms + (every_ms + 1) / 2);
        }
        cr_expect_eq(least, every_ms - every_ms / 10, "%zu", (size_t)every_ms);
        cr_expect_eq(most, every_ms + every_ms / 10, "%zu", (size_t)every_ms);
    }
}
