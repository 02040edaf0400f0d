/* Tasks, burial, posts from other threads. */
#include "net/loop.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <ev.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

TestSuite(loop, .init = set_up, .fini = tear_down, .timeout = 240);

static void stop(void *unused)
{
    (void)unused;
    loop_stop(loop);
}

/* Something that writes its letter whenever it runs. */
struct writer {
    struct task task;
    char letter;
    struct writer *wakes; /* when it runs */
};

static char written[64];
static size_t written_count;

static void write_letter(void *owner)
{
    struct writer *writer = owner;
    if (written_count < sizeof(written) - 1)
        written[written_count++] = writer->letter;
    if (writer->wakes != NULL)
        loop_wake(loop, &writer->wakes->task);
}

static void writer_init(struct writer *writer, char letter)
{
    *writer = (struct writer){.letter = letter};
    task_init(&writer->task, write_letter, writer);
}

/* Runs what is queued, and what that queues before the stopping task has its turn. */
static void run_queued(void)
{
    struct task last;
    task_init(&last, stop, NULL);
    loop_wake(loop, &last);
    loop_run(loop);
}

/* --- tasks ---------------------------------------------------------------------------------------
 */

Test(loop, runs_tasks_in_the_order_they_were_woken)
{
    struct writer a, b, c;
    writer_init(&a, 'a');
    writer_init(&b, 'b');
    writer_init(&c, 'c');
    loop_wake(loop, &b.task);
    loop_wake(loop, &a.task);
    loop_wake(loop, &b.task); /* once */
    loop_wake(loop, &c.task);
    run_queued();
    cr_assert_str_eq(written, "bac");
    run_queued();
    cr_assert_str_eq(written, "bac");
    loop_wake(loop, &a.task);
    run_queued();
    cr_assert_str_eq(written, "baca");
}

Test(loop, puts_tasks_that_are_woken_by_tasks_behind_the_others)
{
    struct writer a, b, c;
    writer_init(&a, 'a');
    writer_init(&b, 'b');
    writer_init(&c, 'c');
    a.wakes = &c;
    loop_wake(loop, &a.task);
    loop_wake(loop, &b.task);
    run_queued();
    cr_assert_str_eq(written, "abc");
}

Test(loop, lets_a_task_wake_itself)
{
    static struct writer a, b; /* still queued at the end */
    writer_init(&a, 'a');
    writer_init(&b, 'b');
    a.wakes = &a;
    loop_wake(loop, &a.task);
    loop_wake(loop, &b.task);
    run_queued();
    cr_assert_eq(strncmp(written, "aba", 3), 0);
    a.wakes = NULL;
}

/* --- patient tasks -------------------------------------------------------------------------------
 */

Test(loop, runs_patient_tasks_behind_all_others)
{
    struct writer a, b, p;
    writer_init(&p, 'p');
    writer_init(&a, 'a');
    writer_init(&b, 'b');
    p.task.is_patient = true;
    a.wakes = &b;
    loop_wake(loop, &p.task);
    loop_wake(loop, &a.task);
    run_queued();
    cr_assert_str_eq(written, "abp");
    p.task.is_patient = false; /* from its next waking on */
    loop_wake(loop, &p.task);
    loop_wake(loop, &a.task);
    run_queued();
    cr_assert_str_eq(written, "abppab");
}

/* As a handshake does: it takes long, and somebody is waiting meanwhile. */
static void write_slowly(void *owner)
{
    uint64_t began_us = clock_monotonic_us();
    while (clock_monotonic_us() - began_us < 1000)
        continue;
    write_letter(owner);
}

Test(loop, lets_others_run_between_two_patient_tasks_that_take_long)
{
    struct writer p, q, a, b;
    struct task last;
    writer_init(&p, 'p');
    writer_init(&q, 'q');
    writer_init(&a, 'a');
    writer_init(&b, 'b');
    p.task.run = q.task.run = write_slowly;
    p.task.is_patient = q.task.is_patient = true;
    p.wakes = &a;
    q.wakes = &b;
    task_init(&last, stop, NULL);
    last.is_patient = true;
    loop_wake(loop, &p.task);
    loop_wake(loop, &q.task);
    loop_wake(loop, &last);
    loop_run(loop);
    cr_assert_eq(strncmp(written, "paqb", 4), 0, "%s", written);
}

static void write_very_slowly(void *owner)
{
    uint64_t began_us = clock_monotonic_us();
    while (clock_monotonic_us() - began_us < 100000)
        continue;
    write_letter(owner);
}

Test(loop, gives_patient_tasks_as_long_as_the_others_took)
{
    struct writer slow, p, q, a;
    writer_init(&slow, 's');
    writer_init(&p, 'p');
    writer_init(&q, 'q');
    writer_init(&a, 'a');
    slow.task.run = write_very_slowly;
    p.task.run = write_slowly; /* by itself longer than the least */
    p.task.is_patient = q.task.is_patient = true;
    p.wakes = &a;
    loop_wake(loop, &p.task);
    loop_wake(loop, &q.task);
    loop_wake(loop, &slow.task);
    run_queued(); /* ends this round */
    cr_assert_str_eq(written, "spqa");
}

/* As a request does that came with the end of its handshake. */
Test(loop, runs_what_a_patient_task_wakes_before_it_polls)
{
    struct writer p, a;
    writer_init(&p, 'p');
    writer_init(&a, 'a');
    p.task.is_patient = true;
    p.wakes = &a;
    loop_wake(loop, &p.task);
    run_queued();
    cr_assert_str_eq(written, "pa", "within one round");
}

static void note_freed(void *owner)
{
    *(bool *)owner = true;
}

Test(loop, frees_a_patient_task_that_is_buried_while_it_is_queued)
{
    bool is_freed = false;
    struct task patient;
    task_init(&patient, stop, &is_freed);
    patient.is_patient = true;
    loop_wake(loop, &patient);
    loop_bury(loop, &patient, note_freed);
    run_queued();
    cr_assert(is_freed);
}

struct busy {
    struct task task;
    unsigned runs, most;
};

static void run_busily(void *owner)
{
    struct busy *busy = owner;
    if (++busy->runs < busy->most)
        loop_wake(loop, &busy->task);
    else
        loop_stop(loop);
}

Test(loop, looks_at_its_sources_although_tasks_keep_coming)
{
    static struct busy busy = {.most = UINT32_MAX};
    struct post post = {.run = stop};
    task_init(&busy.task, run_busily, &busy);
    loop_wake(loop, &busy.task);
    loop_post(loop, &post);
    loop_run(loop); /* would never return */
    cr_assert_geq(busy.runs, 1);
    busy.most = 0;
}

Test(loop, does_not_sleep_while_tasks_remain)
{
    struct busy busy = {.most = 5000};
    task_init(&busy.task, run_busily, &busy);
    loop_wake(loop, &busy.task);
    loop_run(loop); /* would hang in its first sleep */
    cr_assert_eq(busy.runs, 5000);
    cr_assert_lt(loop_sleeps(loop), 100, "many tasks share one poll");
}

Test(loop, sleeps_once_its_tasks_are_done)
{
    struct busy busy = {.most = 5000};
    struct task stopping;
    struct deadline deadline;
    task_init(&busy.task, run_busily, &busy);
    loop_wake(loop, &busy.task);
    loop_run(loop);
    uint64_t before = loop_sleeps(loop);
    task_init(&stopping, stop, NULL);
    deadline_init(&deadline, &stopping);
    deadline_set(loop, &deadline, 100);
    loop_run(loop);
    cr_assert_leq(loop_sleeps(loop) - before, 5);
    deadline_clear(&deadline);
}

/* --- burial --------------------------------------------------------------------------------------
 */

struct mortal {
    struct task task;
    unsigned runs;
    bool *is_freed;
    struct mortal *buries;      /* when it runs */
    struct mortal *wakes_too;   /* afterwards */
    struct mortal *takes_along; /* when it is freed */
};

static void free_mortal(void *owner)
{
    struct mortal *mortal = owner;
    *mortal->is_freed = true;
    if (mortal->takes_along != NULL)
        loop_bury(loop, &mortal->takes_along->task, free_mortal);
    free(mortal);
}

static void run_mortal(void *owner)
{
    struct mortal *mortal = owner;
    mortal->runs++;
    if (mortal->buries != NULL)
        loop_bury(loop, &mortal->buries->task, free_mortal);
    if (mortal->wakes_too != NULL)
        loop_wake(loop, &mortal->wakes_too->task);
}

static struct mortal *mortal_new(bool *is_freed)
{
    struct mortal *mortal = memory_new(sizeof(*mortal));
    mortal->is_freed = is_freed;
    task_init(&mortal->task, run_mortal, mortal);
    return mortal;
}

Test(loop, frees_what_buries_itself_after_its_run)
{
    bool is_freed = false;
    struct mortal *mortal = mortal_new(&is_freed);
    mortal->buries = mortal;
    mortal->wakes_too = mortal; /* does nothing to the buried */
    loop_wake(loop, &mortal->task);
    run_queued();
    cr_assert(is_freed);
}

Test(loop, never_runs_what_was_buried_while_queued)
{
    bool first_freed = false, second_freed = false;
    struct mortal *first = mortal_new(&first_freed), *second = mortal_new(&second_freed);
    first->buries = second;
    first->wakes_too = second;
    loop_wake(loop, &first->task);
    loop_wake(loop, &second->task);
    run_queued();
    cr_assert(second_freed);
    cr_assert_not(first_freed);
    cr_assert_eq(first->runs, 1);
    loop_bury(loop, &first->task, free_mortal);
    cr_assert_not(first_freed, "never inside the call");
    run_queued();
    cr_assert(first_freed);
}

static bool was_freed_in_round;

struct watcher_of_mortal {
    struct task task;
    bool *is_freed;
};

static void look_at_mortal(void *owner)
{
    struct watcher_of_mortal *watcher = owner;
    was_freed_in_round = *watcher->is_freed;
}

Test(loop, keeps_the_buried_until_the_round_is_over)
{
    bool is_freed = false;
    struct mortal *mortal = mortal_new(&is_freed);
    struct watcher_of_mortal watcher = {.is_freed = &is_freed};
    task_init(&watcher.task, look_at_mortal, &watcher);
    mortal->buries = mortal;
    loop_wake(loop, &mortal->task);
    loop_wake(loop, &watcher.task);
    run_queued();
    cr_assert_not(was_freed_in_round);
    cr_assert(is_freed);
}

Test(loop, frees_what_freeing_buries)
{
    bool first_freed = false, second_freed = false;
    struct mortal *first = mortal_new(&first_freed), *second = mortal_new(&second_freed);
    first->takes_along = second;
    loop_wake(loop, &second->task);
    loop_bury(loop, &first->task, free_mortal);
    run_queued();
    cr_assert(first_freed && second_freed);
}

Test(loop, frees_the_buried_that_are_queued_beyond_the_budget)
{
    enum { MANY = 3000 };
    static bool is_freed[MANY];
    for (int i = 0; i < MANY; i++) {
        struct mortal *mortal = mortal_new(&is_freed[i]);
        loop_wake(loop, &mortal->task);
        loop_bury(loop, &mortal->task, free_mortal);
    }
    run_queued();
    for (int i = 0; i < MANY; i++)
        cr_assert(is_freed[i]);
}

Test(loop, runs_and_frees_what_is_left_when_it_is_freed)
{
    bool is_freed = false;
    struct mortal *mortal = mortal_new(&is_freed);
    struct writer a;
    struct loop *other = loop_new();
    writer_init(&a, 'a');
    loop_wake(other, &a.task);
    loop_wake(other, &mortal->task);
    loop_bury(other, &mortal->task, free_mortal);
    loop_free(other);
    cr_assert(is_freed);
    cr_assert_str_eq(written, "a");
}

/* --- posts ---------------------------------------------------------------------------------------
 */

enum { POSTERS = 4, POSTS = 5000 };

struct message {
    struct post post;
    unsigned poster, number;
};

static unsigned received[POSTERS], total;
static pthread_t loop_thread;

static void receive(void *owner)
{
    struct message *message = owner;
    cr_assert(pthread_equal(pthread_self(), loop_thread));
    cr_assert_eq(message->number, received[message->poster]++, "in order");
    free(message); /* the post is the receiver's now */
    if (++total == POSTERS * POSTS)
        loop_stop(loop);
}

static void *post_many(void *owner)
{
    unsigned poster = *(unsigned *)owner;
    for (unsigned i = 0; i < POSTS; i++) {
        struct message *message = memory_new(sizeof(*message));
        *message = (struct message){.poster = poster, .number = i};
        message->post = (struct post){.run = receive, .owner = message};
        loop_post(loop, &message->post);
    }
    return NULL;
}

Test(loop, delivers_posts_of_many_threads_each_in_order)
{
    pthread_t threads[POSTERS];
    unsigned numbers[POSTERS];
    loop_thread = pthread_self();
    for (unsigned i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, post_many, &numbers[i]);
    }
    loop_run(loop);
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(received[i], POSTS);
    }
}

static void wake_writer(void *owner)
{
    struct writer *writer = owner;
    loop_wake(loop, &writer->task);
}

Test(loop, takes_posts_of_its_own_thread_and_lets_them_wake_tasks)
{
    struct writer a;
    struct task stopping;
    struct deadline guard;
    writer_init(&a, 'a');
    struct writer stopper;
    writer_init(&stopper, 's');
    task_init(&stopper.task, stop, NULL);
    a.wakes = &stopper;
    task_init(&stopping, stop, NULL);
    deadline_init(&guard, &stopping);
    deadline_set(loop, &guard, 20000);
    struct post post = {.run = wake_writer, .owner = &a};
    loop_post(loop, &post);
    loop_run(loop);
    cr_assert_str_eq(written, "a");
    deadline_clear(&guard);
}

static void stop_that(void *owner)
{
    loop_stop(owner);
}

static void *run_and_free(void *owner)
{
    loop_run(owner);
    loop_free(owner);
    return NULL;
}

static bool poster_dawdles;

/* Replaces libev's: the poster stays in it long after the loop was woken. */
void ev_async_send(struct ev_loop *ev, ev_async *watcher)
{
    static void (*real)(struct ev_loop *, ev_async *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "ev_async_send");
    real(ev, watcher);
    for (int i = 0; poster_dawdles && i < 10000; i++)
        sched_yield();
}

/* The last post stops the loop, which is freed while the poster is still inside loop_post. */
Test(loop, may_be_freed_by_its_thread_as_soon_as_a_post_stopped_it)
{
    poster_dawdles = true;
    for (int i = 0; i < 10; i++) {
        struct loop *other = loop_new();
        struct post post = {.run = stop_that, .owner = other};
        pthread_t thread;
        pthread_create(&thread, NULL, run_and_free, other);
        loop_post(other, &post);
        pthread_join(thread, NULL);
    }
}

static sem_t stopped_in_wake, may_go_on;
static bool is_stopped_in_wake;

/* Replaces the C library's: the kernel stops a helper in it. */
int eventfd_write(int fd, eventfd_t count)
{
    if (is_stopped_in_wake) {
        sem_post(&stopped_in_wake);
        while (sem_wait(&may_go_on) != 0) {
        }
    }
    return write(fd, &count, sizeof(count)) == sizeof(count) ? 0 : -1;
}

static void count_run(void *owner)
{
    ++*(unsigned *)owner;
    loop_stop(loop);
}

static void *post_yielding(void *post)
{
    loop_post_expected(loop, post, true);
    return NULL;
}

static void *post_usually(void *post)
{
    loop_post(loop, post);
    return NULL;
}

Test(loop, a_helper_that_is_stopped_in_the_middle_of_a_post_holds_up_nobody_else)
{
    unsigned slow_runs = 0, runs = 0;
    struct post slow = {.run = count_run, .drop = count_run, .owner = &slow_runs};
    struct post other = {.run = count_run, .owner = &runs};
    pthread_t helper, poster;

    sem_init(&stopped_in_wake, 0, 0);
    sem_init(&may_go_on, 0, 0);
    loop_expect(loop, &slow);
    is_stopped_in_wake = true;
    pthread_create(&helper, NULL, post_yielding, &slow);
    while (sem_wait(&stopped_in_wake) != 0) {
    }
    pthread_create(&poster, NULL, post_usually, &other);
    loop_run(loop); /* would hang */
    cr_assert_eq(runs, 1);
    cr_assert_eq(slow_runs, 0);
    sem_post(&may_go_on);
    loop_run(loop);
    cr_assert_eq(slow_runs, 1);
    pthread_join(helper, NULL);
    pthread_join(poster, NULL);
}

static void note_drop(void *owner)
{
    *(bool *)owner = true;
}

static void never(void *owner)
{
    (void)owner;
    cr_assert_fail("it must not run");
}

Test(loop, drops_what_was_expected_and_has_not_run_when_it_is_freed)
{
    struct loop *other = loop_new();
    bool is_dropped = false, is_forgotten_dropped = false;
    struct post post = {.run = never, .drop = note_drop, .owner = &is_dropped};
    struct post forgotten = {.run = never, .drop = note_drop, .owner = &is_forgotten_dropped};

    loop_expect(other, &post);
    loop_expect(other, &forgotten);
    loop_forget(other, &forgotten);
    loop_post_expected(other, &post, false);
    loop_free(other);
    cr_assert(is_dropped);
    cr_assert_not(is_forgotten_dropped);
}

/* --- the rest ------------------------------------------------------------------------------------
 */

Test(loop, may_run_again_after_it_was_stopped)
{
    struct writer a;
    writer_init(&a, 'a');
    for (int i = 0; i < 3; i++) {
        loop_wake(loop, &a.task);
        run_queued();
    }
    cr_assert_str_eq(written, "aaa");
}

static uint64_t seen_ms;

static void see_clock(void *unused)
{
    (void)unused;
    seen_ms = loop_now_ms(loop);
    loop_stop(loop);
}

Test(loop, has_a_clock_that_follows_the_real_one)
{
    struct task task;
    task_init(&task, see_clock, NULL);
    uint64_t before_ms = clock_monotonic_ms();
    loop_wake(loop, &task);
    loop_run(loop);
    cr_assert_geq(seen_ms, before_ms);
    cr_assert_leq(seen_ms, clock_monotonic_ms());
    cr_assert_leq(loop_now_ms(loop), loop_now_us(loop) / 1000);
}

static uint64_t first_us, again_us, next_us;

static void ask_twice(void *unused)
{
    (void)unused;
    first_us = loop_now_us(loop);
    for (uint64_t asked_us = clock_monotonic_us(); clock_monotonic_us() < asked_us + 2;)
        ;
    again_us = loop_now_us(loop);
}

static void ask_once(void *unused)
{
    (void)unused;
    next_us = loop_now_us(loop);
}

Test(loop, has_one_time_for_all_of_a_tasks_run)
{
    struct task twice, once;
    task_init(&twice, ask_twice, NULL);
    task_init(&once, ask_once, NULL);
    uint64_t before_us = clock_monotonic_us();
    loop_wake(loop, &twice);
    loop_wake(loop, &once);
    run_queued();
    cr_assert_geq(first_us, before_us);
    cr_assert_eq(again_us, first_us);
    cr_assert_geq(next_us, first_us + 2, "the next task has its own");
    cr_assert_geq(loop_now_us(loop), next_us, "and so has whoever asks between tasks");
    uint64_t asked_us = clock_monotonic_us();
    cr_assert_geq(loop_now_us(loop), asked_us);
}

Test(loop, lends_room_to_its_streams)
{
    char *read = loop_read_scratch(loop), *write = loop_write_scratch(loop);
    memset(read, 'r', LOOP_SCRATCH_BYTES);
    memset(write, 'w', LOOP_SCRATCH_BYTES);
    cr_assert_eq(read[LOOP_SCRATCH_BYTES - 1], 'r');
    cr_assert_eq(loop_read_scratch(loop), read);
    cr_assert_eq(loop_write_scratch(loop), write);
}
