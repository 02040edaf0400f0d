#include "bench/lockstep.h"

#include "bench/callgrind.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static sem_t workers_turn, others_turn;
static atomic_bool is_over;
/* Each is written in the worker's turn and read in the others'. */
static int worker_epoll;
static bool has_worked;
static _Thread_local bool is_worker;

/* --- the clock ------------------------------------------------------------------------------- */

/* By the worker alone; where it begins is the real time. */
static struct timespec clocks[CLOCK_MONOTONIC + 1];

static void start_clocks(void)
{
    for (clockid_t which = CLOCK_REALTIME; which <= CLOCK_MONOTONIC; which++)
        clock_gettime(which, &clocks[which]);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    if (!is_worker || which < 0 || which > CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, which, now);
    struct timespec *clock = &clocks[which];
    clock->tv_nsec += 1000;
    if (clock->tv_nsec >= 1000000000) {
        clock->tv_nsec -= 1000000000;
        clock->tv_sec++;
    }
    *now = *clock;
    return 0;
}

/* --- turns ----------------------------------------------------------------------------------- */

__attribute__((constructor)) static void make_turns(void)
{
    sem_init(&workers_turn, 0, 0);
    sem_init(&others_turn, 0, 0);
}

/* Nothing of it is in the counts. */
static int wait_for_events(int epoll, struct epoll_event *events, int max, int timeout)
{
    for (;;) {
        int count = epoll_pwait(epoll, events, max, is_over ? timeout : 0, NULL);
        if (count != 0)
            has_worked = true;
        if (count != 0 || timeout == 0 || is_over)
            return count;
        worker_epoll = epoll;
        sem_post(&others_turn);
        sem_wait(&workers_turn);
    }
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    if (gettid() == getpid())
        return epoll_pwait(epoll, events, max, timeout, NULL);
    if (!is_worker) {
        start_clocks();
        is_worker = true;
    }
    CALLGRIND_TOGGLE_COLLECT;
    int count = wait_for_events(epoll, events, max, timeout);
    CALLGRIND_TOGGLE_COLLECT;
    return count;
}

void lockstep_begin(void)
{
    sem_wait(&others_turn);
}

bool lockstep_turn(void)
{
    has_worked = false;
    sem_post(&workers_turn);
    sem_wait(&others_turn);
    return has_worked;
}

int lockstep_fd(void)
{
    return worker_epoll;
}

void lockstep_end(void)
{
    is_over = true;
    sem_post(&workers_turn);
}
