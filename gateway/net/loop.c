#include "net/loop.h"

#include "base/clock.h"
#include "net/ev_memory.h"
#include "net/timer_wheel.h"

#include <ev.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUND_TASKS = 512,         /* run before sockets are looked at again */
    TASKS_BETWEEN_CLOCKS = 16, /* a task may take a millisecond: a signature */
    PATIENT_US = 200,          /* the least that patient ones may take of a round */
};
/* No deadline is further away: 30 years. Sums with it cannot overflow. */
static const uint64_t after_max_ms = UINT64_C(1) << 40;
/* Instead of a task's time. */
enum { NOT_ASKED = 0, NO_TASK = 1 };

/* Tasks that were woken, in order. */
struct queue {
    struct task *first, *last;
};

struct loop {
    struct ev_loop *ev;
    struct ev_prepare round;   /* before each sleep */
    struct ev_idle stay_awake; /* while tasks remain: polls without sleeping */
    struct ev_timer alarm;     /* ends a sleep when the wheel has something to do */
    struct ev_async posted;
    struct ev_io yielded; /* `yielded_fd` can be read: something is in `yielding_posts` */
    int yielded_fd;
    struct queue ready, patient;
    struct task *buried; /* out of the queues, to be freed after the round */
    uint64_t now_ms;
    uint64_t task_us;  /* when the running task first asked; NOT_ASKED, NO_TASK */
    uint64_t alarm_ms; /* what `alarm` is set to; WHEEL_NEVER: off */
    struct timer_wheel wheel;
    _Atomic(struct post *) posts;          /* newest first */
    _Atomic(struct post *) yielding_posts; /* the same, of helpers that yield */
    /* Threads inside loop_post, and posts that are expected. Within job_end it may be one too few
     * for a moment; only loop_free looks. */
    atomic_uint posting;
    struct list expected; /* until they have run */
    char *read_scratch, *write_scratch;
};

static void update_clock(struct loop *loop)
{
    loop->now_ms = clock_monotonic_ms();
}

/* --- tasks ---------------------------------------------------------------------------------------
 */

void task_init(struct task *task, void (*run)(void *owner), void *owner)
{
    *task = (struct task){.run = run, .owner = owner};
}

void loop_wake(struct loop *loop, struct task *task)
{
    struct queue *queue = task->is_patient ? &loop->patient : &loop->ready;

    if (task->state != TASK_IDLE)
        return;
    task->state = TASK_QUEUED;
    task->next = NULL;
    if (queue->last != NULL)
        queue->last->next = task;
    else
        queue->first = task;
    queue->last = task;
}

bool loop_is_crowded(const struct loop *loop)
{
    return loop->patient.first != NULL;
}

static void push_buried(struct loop *loop, struct task *task)
{
    task->next = loop->buried;
    loop->buried = task;
}

void loop_bury(struct loop *loop, struct task *task, void (*free_owner)(void *owner))
{
    assert(task->state != TASK_BURIED);
    bool is_queued = task->state == TASK_QUEUED;
    task->state = TASK_BURIED;
    task->free_owner = free_owner;
    /* A queue still points to it: run_next finds it there. */
    if (!is_queued)
        push_buried(loop, task);
}

static bool has_tasks(const struct loop *loop)
{
    return loop->ready.first != NULL || loop_is_crowded(loop);
}

static void run_next(struct loop *loop, struct queue *queue)
{
    struct task *task = queue->first;
    queue->first = task->next;
    if (queue->first == NULL)
        queue->last = NULL;
    if (task->state == TASK_BURIED) {
        push_buried(loop, task);
        return;
    }
    task->state = TASK_IDLE;
    loop->task_us = NOT_ASKED;
    task->run(task->owner);
    loop->task_us = NO_TASK;
}

static void free_buried(struct loop *loop)
{
    while (loop->buried != NULL) {
        struct task *task = loop->buried;
        loop->buried = task->next;
        task->free_owner(task->owner);
    }
}

/* Patient ones get as much of a round as the others took: a flood of newcomers at most doubles what
 * who is served has to wait, and many who are served at most halve what newcomers get. One runs in
 * any case. */
static void run_patient(struct loop *loop, uint64_t round_began_us)
{
    uint64_t now_us = clock_monotonic_us(), spent_us = now_us - round_began_us;
    uint64_t end_us = now_us + (spent_us > PATIENT_US ? spent_us : PATIENT_US);

    do {
        run_next(loop, &loop->patient);
    } while (loop_is_crowded(loop) && clock_monotonic_us() < end_us);
    update_clock(loop);
}

/* `ran` have run in this round; answers how many have now. */
static unsigned run_ready(struct loop *loop, unsigned ran)
{
    for (; loop->ready.first != NULL && ran < ROUND_TASKS; ran++) {
        if (ran % TASKS_BETWEEN_CLOCKS == TASKS_BETWEEN_CLOCKS - 1)
            update_clock(loop);
        run_next(loop, &loop->ready);
    }
    return ran;
}

/* One round: those whose time has come are woken, tasks run, the buried are freed. What patient
 * tasks have woken (a request that came right behind its handshake) does not wait for a poll. */
static void run_round(struct loop *loop)
{
    uint64_t began_us = clock_monotonic_us();

    loop->now_ms = began_us / 1000;
    timer_wheel_advance(&loop->wheel, loop, loop->now_ms);
    unsigned ran = run_ready(loop, 0);
    if (loop_is_crowded(loop)) {
        run_patient(loop, began_us);
        run_ready(loop, ran);
    }
    free_buried(loop);
}

/* --- sleeping ------------------------------------------------------------------------------------
 */

static void set_alarm(struct loop *loop)
{
    uint64_t earliest_ms = loop->wheel.earliest_ms;
    ev_timer_stop(loop->ev, &loop->alarm);
    loop->alarm_ms = earliest_ms;
    if (earliest_ms == WHEEL_NEVER)
        return;
    /* Relative to libev's idea of now, which is as old as the last poll. */
    ev_now_update(loop->ev);
    update_clock(loop);
    uint64_t delay_ms = earliest_ms > loop->now_ms ? earliest_ms - loop->now_ms : 0;
    ev_timer_set(&loop->alarm, (double)delay_ms / 1000, 0);
    ev_timer_start(loop->ev, &loop->alarm);
}

static void before_sleep(struct ev_loop *ev, struct ev_prepare *watcher, int events)
{
    struct loop *loop = watcher->data;
    (void)events;
    run_round(loop);
    if (loop->wheel.earliest_ms != loop->alarm_ms)
        set_alarm(loop);
    if (has_tasks(loop))
        ev_idle_start(ev, &loop->stay_awake);
    else
        ev_idle_stop(ev, &loop->stay_awake);
}

static void on_idle(struct ev_loop *ev, struct ev_idle *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
}

/* Being awake is all: the next round looks at the wheel. */
static void on_alarm(struct ev_loop *ev, struct ev_timer *watcher, int events)
{
    struct loop *loop = watcher->data;
    (void)ev, (void)events;
    loop->alarm_ms = WHEEL_NEVER;
}

/* --- posts ---------------------------------------------------------------------------------------
 */

/* Who finds the stack empty has to wake the loop; the others' posts go along. */
static bool push_post(_Atomic(struct post *) *posts, struct post *post)
{
    struct post *newest = atomic_load_explicit(posts, memory_order_relaxed);
    do {
        post->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(posts, &newest, post, memory_order_release,
                                                    memory_order_relaxed));
    return newest == NULL;
}

void loop_post(struct loop *loop, struct post *post)
{
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
    if (push_post(&loop->posts, post))
        ev_async_send(loop->ev, &loop->posted);
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release);
}

void loop_expect(struct loop *loop, struct post *post)
{
    assert(post->drop != NULL);
    list_push_back(&loop->expected, &post->node);
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
}

void loop_forget(struct loop *loop, struct post *post)
{
    list_remove(&post->node);
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release);
}

/* Whoever stops between the two of a push and a wake makes others wait: libev's wake has such a
 * place of its own. */
void loop_post_expected(struct loop *loop, struct post *post, bool is_yielding)
{
    if (!is_yielding)
        loop_post(loop, post);
    else if (push_post(&loop->yielding_posts, post))
        eventfd_write(loop->yielded_fd, 1);
    /* Whose post it is may be gone by now; the loop is not. */
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release);
}

static void run_posts(struct loop *loop, _Atomic(struct post *) *posts)
{
    struct post *newest = atomic_exchange_explicit(posts, NULL, memory_order_acquire);
    struct post *oldest = NULL;
    while (newest != NULL) {
        struct post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    update_clock(loop);
    while (oldest != NULL) {
        struct post *post = oldest;
        oldest = post->next; /* running it may free it */
        if (post->drop != NULL)
            list_remove(&post->node);
        post->run(post->owner);
    }
}

static void on_posted(struct ev_loop *ev, struct ev_async *watcher, int events)
{
    struct loop *loop = watcher->data;
    (void)ev, (void)events;
    run_posts(loop, &loop->posts);
}

static void on_yielded(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct loop *loop = watcher->data;
    eventfd_t count;
    (void)ev, (void)events;
    eventfd_read(loop->yielded_fd, &count); /* first: what is pushed from here on is told anew */
    run_posts(loop, &loop->yielding_posts);
}

/* Whoever posted what stopped this loop may not have left loop_post yet, nor helpers whose jobs
 * were ended on their way; they may be threads that run only when all others sleep. */
static void await_posts(const struct loop *loop)
{
    const struct timespec moment = {.tv_nsec = 50 * 1000};

    while (atomic_load_explicit(&loop->posting, memory_order_acquire) > 0)
        nanosleep(&moment, NULL);
}

/* --- the loop ------------------------------------------------------------------------------------
 */

struct loop *loop_new(void)
{
    ev_memory_install();
    struct ev_loop *ev = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (ev == NULL)
        return NULL;
    int yielded_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (yielded_fd < 0) {
        ev_loop_destroy(ev);
        return NULL;
    }
    struct loop *loop = memory_new(sizeof(*loop));
    loop->ev = ev;
    loop->yielded_fd = yielded_fd;
    loop->alarm_ms = WHEEL_NEVER;
    loop->task_us = NO_TASK;
    update_clock(loop);
    list_init(&loop->expected);
    timer_wheel_init(&loop->wheel, loop->now_ms);
    ev_prepare_init(&loop->round, before_sleep);
    ev_idle_init(&loop->stay_awake, on_idle);
    ev_timer_init(&loop->alarm, on_alarm, 0, 0);
    ev_async_init(&loop->posted, on_posted);
    ev_io_init(&loop->yielded, on_yielded, yielded_fd, EV_READ);
    loop->round.data = loop->alarm.data = loop->posted.data = loop->yielded.data = loop;
    ev_prepare_start(ev, &loop->round);
    ev_async_start(ev, &loop->posted);
    ev_io_start(ev, &loop->yielded);
    return loop;
}

void loop_free(struct loop *loop)
{
    while (has_tasks(loop) || loop->buried != NULL)
        run_round(loop);
    await_posts(loop);
    list_each (&loop->expected, node) {
        struct post *post = container_of(node, struct post, node);
        list_remove(node);
        post->drop(post->owner);
    }
    ev_idle_stop(loop->ev, &loop->stay_awake);
    ev_timer_stop(loop->ev, &loop->alarm);
    ev_async_stop(loop->ev, &loop->posted);
    ev_io_stop(loop->ev, &loop->yielded);
    close(loop->yielded_fd);
    ev_prepare_stop(loop->ev, &loop->round);
    ev_loop_destroy(loop->ev);
    ev_memory_clear();
    free(loop->read_scratch);
    free(loop->write_scratch);
    free(loop);
}

void loop_run(struct loop *loop)
{
    update_clock(loop);
    ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ONE);
}

struct ev_loop *loop_ev(struct loop *loop)
{
    return loop->ev;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_now_us(struct loop *loop)
{
    if (loop->task_us == NO_TASK)
        return clock_monotonic_us();
    if (loop->task_us == NOT_ASKED)
        loop->task_us = clock_monotonic_us();
    return loop->task_us;
}

uint64_t loop_sleeps(const struct loop *loop)
{
    return ev_iteration(loop->ev);
}

char *loop_read_scratch(struct loop *loop)
{
    if (loop->read_scratch == NULL)
        loop->read_scratch = memory_new(LOOP_SCRATCH_BYTES);
    return loop->read_scratch;
}

char *loop_write_scratch(struct loop *loop)
{
    if (loop->write_scratch == NULL)
        loop->write_scratch = memory_new(LOOP_SCRATCH_BYTES);
    return loop->write_scratch;
}

/* --- deadlines -----------------------------------------------------------------------------------
 */

void deadline_init(struct deadline *deadline, struct task *task)
{
    *deadline = (struct deadline){.task = task};
}

void deadline_set(struct loop *loop, struct deadline *deadline, uint64_t after_ms)
{
    if (after_ms == 0) {
        deadline_clear(deadline);
        return;
    }
    if (after_ms > after_max_ms)
        after_ms = after_max_ms;
    deadline->due_ms = loop->now_ms + after_ms;
    if (!list_has(&deadline->node) || deadline->due_ms < deadline->filed_ms)
        timer_wheel_file(&loop->wheel, deadline);
}

void deadline_clear(struct deadline *deadline)
{
    list_remove(&deadline->node);
    deadline->due_ms = 0;
}

bool deadline_passed(const struct loop *loop, const struct deadline *deadline)
{
    return deadline->due_ms != 0 && loop->now_ms >= deadline->due_ms;
}
