/* Passwords verified by a helper that the test holds up and lets go. */
#include "policy/password_checks.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECRET      "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SLOW_SECRET "$2b$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
#define HUNTER2                                                                             \
    "$6$rounds=1000$saltsalt$gqUcWLKt3d1wsoaFq/ZlFXJndu400B3QqT3noJu6R/eEGKKt5.bf/H7jRZdxj" \
    "ThW3JpMB1IX.1Z2f5cgwsF710"

enum { ASKERS = 300 };

/* Holds the only helper. */
struct blocker {
    struct job job;
    sem_t has_begun, may_go;
};

static struct loop *loop;
static struct bell bell;
static struct jobs *jobs;
static struct password_checks *checks;
static struct blocker blocker;
static struct task task;
static struct password_wait waits[ASKERS];
static unsigned woken, until;

static void block(struct job *job)
{
    struct blocker *b = container_of(job, struct blocker, job);

    sem_post(&b->has_begun);
    sem_wait(&b->may_go);
}

static void free_nothing(struct job *job)
{
    (void)job;
}

static void hold_helper(void)
{
    blocker.job = (struct job){.work = block, .free_job = free_nothing};
    sem_init(&blocker.has_begun, 0, 0);
    sem_init(&blocker.may_go, 0, 0);
    cr_assert(job_give(jobs, &blocker.job));
    sem_wait(&blocker.has_begun);
}

static bool all_are_over(void)
{
    for (unsigned i = 0; i < until; i++)
        if (waits[i].checks != NULL && password_wait_verdict(&waits[i]) == PASSWORD_WAITS)
            return false;
    return true;
}

static void wake(void *owner)
{
    (void)owner;
    woken++;
    if (all_are_over())
        loop_stop(loop);
}

static void set_up(void)
{
    loop = loop_new();
    bell_init(&bell, loop);
    jobs = jobs_new(1);
    checks = password_checks_new(jobs);
    task_init(&task, wake, NULL);
    woken = 0;
}

static void tear_down(void)
{
    for (unsigned i = 0; i < ASKERS; i++)
        password_wait_end(&waits[i]);
    loop_free(loop);
    bell_clear(&bell);
    jobs_free(jobs);
    password_checks_free(checks);
}

TestSuite(password_checks, .init = set_up, .fini = tear_down, .timeout = 240);

static enum password_verdict ask(unsigned i, const char *ip, const char *name, const char *password,
                                 const char *hash, bool is_known)
{
    const struct password_claim claim = {slice_of(name), slice_of(password), hash};
    const struct password_asker asker = {
        .client_ip = slice_of(ip), .bell = &bell, .task = &task, .now_ms = loop_now_ms(loop)};

    return password_check(checks, &claim, is_known, &asker, &waits[i]);
}

/* Until the first `count` have their verdicts. */
static void run(unsigned count)
{
    until = count;
    if (!all_are_over())
        loop_run(loop);
}

Test(password_checks, of_both_kinds_of_hashes)
{
    cr_expect(password_fits(slice_of("secret"), SECRET));
    cr_expect(!password_fits(slice_of("secret1"), SECRET));
    cr_expect(!password_fits(slice_of(""), SECRET));
    cr_expect(password_fits(slice_of("hunter2"), HUNTER2));
    cr_expect(!password_fits(slice_of("hunter"), HUNTER2));
    cr_expect(!password_fits(slice_of("*0"), "*0"), "what crypt says of what it cannot do");
    cr_expect(!password_fits(slice_of(""), ""));
    char *longest = memory_new(2000);
    memset(longest, 'x', 1999);
    cr_expect(!password_fits(slice_of(longest), SECRET));
    free(longest);
}

Test(password_checks, good_bad_and_nobody)
{
    cr_assert_eq(ask(0, "10.0.0.1", "alice", "secret", SECRET, true), PASSWORD_WAITS);
    cr_assert_eq(ask(1, "10.0.0.1", "alice", "wrong", SECRET, true), PASSWORD_WAITS);
    cr_assert_eq(ask(2, "10.0.0.1", "mallory", "secret", SECRET, false), PASSWORD_WAITS);
    run(3);
    cr_expect_eq(password_wait_verdict(&waits[0]), PASSWORD_GOOD);
    cr_expect_eq(password_wait_verdict(&waits[1]), PASSWORD_BAD);
    cr_expect_eq(password_wait_verdict(&waits[2]), PASSWORD_BAD, "nobody is let in by the dummy");
    /* What was good is remembered, the rest is not. */
    cr_expect_eq(ask(3, "10.0.0.2", "alice", "secret", SECRET, true), PASSWORD_GOOD);
    cr_expect_eq(ask(4, "10.0.0.2", "alice", "wrong", SECRET, true), PASSWORD_WAITS);
    cr_expect_eq(ask(5, "10.0.0.2", "mallory", "secret", SECRET, false), PASSWORD_WAITS);
    cr_expect_eq(ask(6, "10.0.0.2", "alice", "secret", HUNTER2, true), PASSWORD_WAITS);
    run(7);
    cr_expect_eq(password_wait_verdict(&waits[6]), PASSWORD_BAD);
}

Test(password_checks, the_same_at_once_is_verified_once)
{
    hold_helper();
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(ask(i, "10.0.0.1", "alice", "secret", SECRET, true), PASSWORD_WAITS, "%u", i);
    sem_post(&blocker.may_go);
    run(200);
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(password_wait_verdict(&waits[i]), PASSWORD_GOOD, "%u", i);
}

static enum password_verdict guess(unsigned i, const char *ip)
{
    char password[16];

    snprintf(password, sizeof(password), "guess%u", i);
    return ask(i, ip, "alice", password, SECRET, true);
}

Test(password_checks, one_client_has_few_at_a_time)
{
    hold_helper();
    for (unsigned i = 0; i < PASSWORD_CHECKS_OF_ONE; i++)
        cr_expect_eq(guess(i, "10.0.0.1"), PASSWORD_WAITS);
    cr_expect_eq(guess(10, "10.0.0.1"), PASSWORD_BUSY);
    cr_expect_eq(guess(11, "10.0.0.2"), PASSWORD_WAITS);
    for (unsigned i = 0; i < PASSWORD_CHECKS_OF_ONE; i++)
        cr_expect_eq(guess(20 + i, i % 2 ? "2001:db8::1" : "2001:db8::ffff:2"), PASSWORD_WAITS);
    cr_expect_eq(guess(30, "2001:db8::3"), PASSWORD_BUSY, "the same /64");
    cr_expect_eq(guess(31, "2001:db8:0:1::3"), PASSWORD_WAITS);
    cr_expect_eq(guess(32, "unix"), PASSWORD_WAITS);
    sem_post(&blocker.may_go);
    run(33);
    cr_expect_eq(guess(40, "10.0.0.1"), PASSWORD_WAITS);
}

Test(password_checks, all_together_have_so_many)
{
    unsigned waiting = 0;
    char ip[32];

    hold_helper();
    for (unsigned i = 0; i < ASKERS; i++) {
        snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
        waiting += guess(i, ip) == PASSWORD_WAITS;
    }
    cr_expect_eq(waiting, PASSWORD_CHECKS_MOST);
    /* Nobody waits for them any more: they cost nothing. */
    for (unsigned i = 0; i < ASKERS; i++)
        password_wait_end(&waits[i]);
    sem_post(&blocker.may_go);
    while (ask(0, "10.9.0.1", "alice", "secret", SECRET, true) == PASSWORD_BUSY)
        sched_yield();
    run(1);
    cr_expect_eq(password_wait_verdict(&waits[0]), PASSWORD_GOOD);
}

Test(password_checks, who_leaves_is_not_woken_and_takes_nothing_from_others)
{
    hold_helper();
    cr_assert_eq(ask(0, "10.0.0.1", "alice", "secret", SECRET, true), PASSWORD_WAITS);
    cr_assert_eq(ask(1, "10.0.0.1", "alice", "secret", SECRET, true), PASSWORD_WAITS);
    password_wait_end(&waits[0]);
    memset(&waits[0], 0, sizeof(waits[0]));
    sem_post(&blocker.may_go);
    run(2);
    cr_expect_eq(password_wait_verdict(&waits[1]), PASSWORD_GOOD);
}

Test(password_checks, what_still_waits_at_the_end_is_dropped)
{
    hold_helper();
    cr_assert_eq(ask(0, "10.0.0.1", "alice", "secret", SECRET, true), PASSWORD_WAITS);
    password_wait_end(&waits[0]);
    /* The teardown frees the queue with it in it; the helper goes by itself. */
    jobs_free(jobs);
    sem_post(&blocker.may_go);
    jobs = NULL;
}

/* The helper is at it once the process takes time while this thread takes none. */
static void await_work(void)
{
    struct timespec used, now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    do {
        usleep(1000);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while ((now.tv_sec - used.tv_sec) * 1000000000L + now.tv_nsec - used.tv_nsec < 20000000L);
}

Test(password_checks, what_is_under_way_at_the_end_needs_nothing_of_what_waits)
{
    cr_assert_eq(ask(0, "10.0.0.1", "alice", "secret", SLOW_SECRET, true), PASSWORD_WAITS);
    await_work();
    for (unsigned i = 1; i < 4; i++) {
        cr_assert_eq(guess(i, "10.0.0.1"), PASSWORD_WAITS);
        password_wait_end(&waits[i]);
    }
    jobs_free(jobs);
    jobs = NULL;
    run(1);
    cr_expect_eq(password_wait_verdict(&waits[0]), PASSWORD_GOOD);
}

Test(password_checks, without_a_helper_nobody_waits_for_ever)
{
    struct jobs *none = jobs_new(0);
    struct password_checks *idle = password_checks_new(none);
    const struct password_claim claim = {slice_of("a"), slice_of("b"), SECRET};
    const struct password_asker asker = {
        .client_ip = slice_of("::1"), .bell = &bell, .task = &task};

    cr_expect_eq(password_check(idle, &claim, true, &asker, &waits[0]), PASSWORD_BUSY);
    jobs_free(none);
    password_checks_free(idle);
}
