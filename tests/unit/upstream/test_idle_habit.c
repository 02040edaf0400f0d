/* What is made of what a server says of idle connections, and of what it does with them. */
#include "upstream/idle_habit.h"

#include <criterion/criterion.h>

static void expect_limit(const struct idle_habit *habit, uint64_t limit_ms)
{
    cr_expect_eq(idle_habit_limit_ms(habit), limit_ms, "%llu, not %llu",
                 (unsigned long long)idle_habit_limit_ms(habit), (unsigned long long)limit_ms);
}

Test(idle_habit, four_seconds_until_something_is_known)
{
    struct idle_habit habit = {0};
    expect_limit(&habit, 4000);
    cr_expect(idle_habit_is_worth_watching(&habit));
}

Test(idle_habit, a_second_less_than_it_says)
{
    static const struct {
        unsigned told_s;
        uint64_t limit_ms;
    } cases[] = {{1, 0},      {2, 1000},   {5, 4000},           {30, 29000},
                 {61, 60000}, {62, 60000}, {UINT32_MAX, 60000}, {0, 4000}};
    struct idle_habit habit = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        idle_habit_note_told(&habit, cases[i].told_s);
        expect_limit(&habit, cases[i].limit_ms);
        cr_expect_eq(idle_habit_is_worth_watching(&habit), cases[i].told_s == 0);
    }
}

Test(idle_habit, less_than_when_it_closed_one)
{
    static const struct {
        uint64_t idle_ms, limit_ms;
    } cases[] = {{5000, 4000}, {4500, 3500}, {4000, 3000}, {2000, 1500}, {1000, 750}};
    struct idle_habit habit = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        idle_habit_note_closed(&habit, cases[i].idle_ms);
        expect_limit(&habit, cases[i].limit_ms);
    }
    idle_habit_note_closed(&habit, 3000);
    expect_limit(&habit, 750); /* the shortest one counts */
}

/* A server that starts anew closes them at any age. */
Test(idle_habit, what_is_closed_at_once_shows_nothing)
{
    struct idle_habit habit = {0};
    idle_habit_note_closed(&habit, 0);
    idle_habit_note_closed(&habit, 999);
    idle_habit_note_watched(&habit, 999);
    expect_limit(&habit, 4000);
}

Test(idle_habit, the_one_that_is_watched_shows_a_longer_time_and_a_shorter_one)
{
    struct idle_habit habit = {0};
    idle_habit_note_watched(&habit, 30 * 1000);
    expect_limit(&habit, 29 * 1000);
    idle_habit_note_closed(&habit, 2000); /* it was started anew, say */
    expect_limit(&habit, 1500);
    idle_habit_note_watched(&habit, 30 * 1000);
    expect_limit(&habit, 29 * 1000);
    idle_habit_note_watched(&habit, 6000); /* with another setting */
    expect_limit(&habit, 5000);
    idle_habit_note_watched(&habit, IDLE_WATCH_MS);
    expect_limit(&habit, 60 * 1000);
}

Test(idle_habit, a_server_that_does_not_do_as_it_says)
{
    struct idle_habit habit = {0};
    idle_habit_note_told(&habit, 30);
    idle_habit_note_closed(&habit, 10 * 1000);
    expect_limit(&habit, 9 * 1000);
    cr_expect(idle_habit_is_worth_watching(&habit), "it may do better again");
    idle_habit_note_watched(&habit, 12 * 1000);
    expect_limit(&habit, 11 * 1000);
    idle_habit_note_watched(&habit, 30 * 1000);
    expect_limit(&habit, 29 * 1000);
    cr_expect_not(idle_habit_is_worth_watching(&habit));
    idle_habit_note_told(&habit, 5); /* its newest word */
    expect_limit(&habit, 4000);
}
