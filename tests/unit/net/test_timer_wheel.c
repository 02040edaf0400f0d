/* Deadlines: the wheel in simulated time, and the loop's clock and alarm in real time. */
#include "net/timer_wheel.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct loop *loop;

static void set_up(void)
{
    loop = loop_new();
    cr_assert_not_null(loop);
}

static void tear_down(void)
{
    loop_free(loop);
}

TestSuite(timer_wheel, .init = set_up, .fini = tear_down, .timeout = 240);

/* --- simulated time ------------------------------------------------------------------------------
 */

enum { HOUR_MS = 3600 * 1000 };

static struct timer_wheel wheel;

static void do_nothing(void *unused)
{
    (void)unused;
}

/* What simulated deadlines wake; the loop's queue may point to it until the end. */
static struct task nobody = {.run = do_nothing};

static bool is_out(const struct deadline *deadline)
{
    return deadline->due_ms != 0 && !list_has(&deadline->node);
}

static void set_at(struct deadline *deadline, uint64_t due_ms)
{
    deadline->due_ms = due_ms;
    if (!list_has(&deadline->node) || due_ms < deadline->filed_ms)
        timer_wheel_file(&wheel, deadline);
}

static uint64_t random_span(uint64_t most)
{
    uint64_t random = (uint64_t)rand() << 31 ^ (uint64_t)rand();
    /* Short, middling and long ones, equally often. */
    static const uint64_t scales[] = {50, 1000, 2000, 100000, 300000, 20 * (uint64_t)HOUR_MS};
    uint64_t scale = scales[rand() % 6];
    return random % (scale < most ? scale : most) + 1;
}

static void change_at_random(struct deadline *deadline, uint64_t now_ms)
{
    if (rand() % 4 == 0)
        deadline_clear(deadline);
    else
        set_at(deadline, now_ms + random_span(20 * (uint64_t)HOUR_MS));
}

/* Whatever is set, pushed, pulled and cleared: each comes out within two ticks after its time, if
 * it is looked for then, and never before. */
Test(timer_wheel, is_never_early_and_never_forgets)
{
    enum { MANY = 500 };
    static struct deadline deadlines[MANY];
    for (unsigned seed = 1; seed <= 20; seed++) {
        uint64_t now_ms = (uint64_t)rand();
        srand(seed);
        timer_wheel_init(&wheel, now_ms);
        for (int i = 0; i < MANY; i++)
            deadline_init(&deadlines[i], &nobody);
        for (int step = 0; step < 1000; step++) {
            for (int i = 0; i < 5; i++)
                change_at_random(&deadlines[rand() % MANY], now_ms);
            now_ms += random_span(step % 50 == 0 ? 10 * (uint64_t)HOUR_MS : 5000);
            timer_wheel_advance(&wheel, loop, now_ms);
            for (int i = 0; i < MANY; i++) {
                uint64_t due_ms = deadlines[i].due_ms;
                if (due_ms > now_ms)
                    cr_assert_not(is_out(&deadlines[i]), "early");
                else if (due_ms != 0 && due_ms + 2 * WHEEL_TICK_MS <= now_ms)
                    cr_assert(is_out(&deadlines[i]), "late");
            }
        }
        for (int i = 0; i < MANY; i++)
            deadline_clear(&deadlines[i]);
    }
}

/* How often an otherwise idle loop would wake for it. */
static unsigned looks_until_out(uint64_t after_ms)
{
    struct deadline deadline;
    unsigned looks = 0;
    uint64_t start_ms = 123456789, now_ms = start_ms;
    deadline_init(&deadline, &nobody);
    timer_wheel_init(&wheel, now_ms);
    set_at(&deadline, now_ms + after_ms);
    for (; !is_out(&deadline); looks++) {
        cr_assert_neq(wheel.earliest_ms, WHEEL_NEVER);
        cr_assert_gt(wheel.earliest_ms, now_ms);
        now_ms = wheel.earliest_ms;
        timer_wheel_advance(&wheel, loop, now_ms);
    }
    cr_assert_eq(wheel.earliest_ms, WHEEL_NEVER);
    cr_assert_geq(now_ms, start_ms + after_ms);
    cr_assert_lt(now_ms, start_ms + after_ms + 2 * WHEEL_TICK_MS);
    return looks;
}

Test(timer_wheel, is_looked_at_a_handful_of_times)
{
    cr_assert_leq(looks_until_out(1), 1);
    cr_assert_leq(looks_until_out(500), 1);
    cr_assert_leq(looks_until_out(75 * 1000), 2);
    cr_assert_leq(looks_until_out(HOUR_MS), 20);
}

Test(timer_wheel, leaves_a_deadline_that_is_pushed_later_where_it_is)
{
    struct deadline deadline;
    deadline_init(&deadline, &nobody);
    timer_wheel_init(&wheel, 1000000);
    set_at(&deadline, 1010000);
    uint64_t filed_ms = deadline.filed_ms;
    for (uint64_t now_ms = 1000000; now_ms < 1009000; now_ms += 10) {
        set_at(&deadline, now_ms + 10000);
        cr_assert_eq(deadline.filed_ms, filed_ms);
    }
    timer_wheel_advance(&wheel, loop, 1018000);
    cr_assert_not(is_out(&deadline));
    cr_assert_gt(deadline.filed_ms, filed_ms);
    timer_wheel_advance(&wheel, loop, 1019000);
    cr_assert(is_out(&deadline));
}

/* --- real time -----------------------------------------------------------------------------------
 */

struct alarm {
    struct task task;
    struct deadline deadline;
    uint64_t least_ms; /* real time before which it must not go off */
    unsigned runs;
};

static unsigned awaited;
static uint64_t latest_due_ms;

static void go_off(void *owner)
{
    struct alarm *alarm = owner;
    alarm->runs++;
    cr_assert(deadline_passed(loop, &alarm->deadline));
    cr_assert_geq(clock_monotonic_ms(), alarm->least_ms, "early");
    cr_assert_geq(alarm->deadline.due_ms + 2 * WHEEL_TICK_MS, latest_due_ms, "out of order");
    if (alarm->deadline.due_ms > latest_due_ms)
        latest_due_ms = alarm->deadline.due_ms;
    if (--awaited == 0)
        loop_stop(loop);
}

static void alarm_init(struct alarm *alarm)
{
    *alarm = (struct alarm){0};
    task_init(&alarm->task, go_off, alarm);
    deadline_init(&alarm->deadline, &alarm->task);
}

static void alarm_set(struct alarm *alarm, uint64_t after_ms)
{
    alarm->least_ms = loop_now_ms(loop) + after_ms;
    deadline_set(loop, &alarm->deadline, after_ms);
}

Test(timer_wheel, wakes_many_in_their_order)
{
    enum { MANY = 2000 };
    static struct alarm alarms[MANY];
    srand(1);
    for (int i = 0; i < MANY; i++) {
        alarm_init(&alarms[i]);
        alarm_set(&alarms[i], (uint64_t)rand() % 1500 + 1);
        if (rand() % 3 == 0) /* pulled and pushed */
            alarm_set(&alarms[i], (uint64_t)rand() % 1500 + 1);
    }
    awaited = MANY;
    for (int i = 0; i < MANY; i += 10) {
        deadline_clear(&alarms[i].deadline);
        awaited--;
    }
    loop_run(loop);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(alarms[i].runs, i % 10 == 0 ? 0 : 1);
}

Test(timer_wheel, has_passed_until_it_is_set_anew_or_cleared)
{
    struct alarm alarm;
    alarm_init(&alarm);
    cr_assert_not(deadline_passed(loop, &alarm.deadline));
    awaited = 1;
    alarm_set(&alarm, 10);
    cr_assert_not(deadline_passed(loop, &alarm.deadline));
    loop_run(loop);
    cr_assert(deadline_passed(loop, &alarm.deadline));
    alarm_set(&alarm, 5000);
    cr_assert_not(deadline_passed(loop, &alarm.deadline));
    alarm_set(&alarm, 10);
    awaited = 1;
    loop_run(loop);
    cr_assert_eq(alarm.runs, 2);
    deadline_clear(&alarm.deadline);
    cr_assert_not(deadline_passed(loop, &alarm.deadline));
    alarm_set(&alarm, 20);
    deadline_set(loop, &alarm.deadline, 0);
    cr_assert_not(deadline_passed(loop, &alarm.deadline));
    cr_assert_not(list_has(&alarm.deadline.node));
}

Test(timer_wheel, an_idle_loop_sleeps)
{
    struct alarm idle, soon;
    alarm_init(&idle);
    alarm_init(&soon);
    alarm_set(&idle, 75 * 1000);
    alarm_set(&soon, 1500);
    awaited = 1;
    loop_run(loop);
    cr_assert_eq(soon.runs, 1);
    cr_assert_leq(loop_sleeps(loop), 10);
    deadline_clear(&idle.deadline);
}

/* Memory may go as soon as the deadline is cleared; ASan would see the wheel touch it. */
Test(timer_wheel, forgets_what_was_cleared)
{
    struct alarm *gone = malloc(sizeof(*gone)), kept;
    alarm_init(gone);
    alarm_init(&kept);
    alarm_set(gone, 10);
    alarm_set(&kept, 30);
    deadline_clear(&gone->deadline);
    free(gone);
    awaited = 1;
    loop_run(loop);
    cr_assert_eq(kept.runs, 1);
}

Test(timer_wheel, takes_the_longest_of_times)
{
    struct alarm never, soon;
    alarm_init(&never);
    alarm_init(&soon);
    deadline_set(loop, &never.deadline, UINT64_MAX);
    cr_assert_gt(never.deadline.due_ms, loop_now_ms(loop));
    alarm_set(&soon, 10);
    awaited = 1;
    loop_run(loop);
    cr_assert_not(deadline_passed(loop, &never.deadline));
    deadline_clear(&never.deadline);
}
