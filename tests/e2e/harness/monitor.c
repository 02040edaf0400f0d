#include "monitor.h"

#include "workplace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t the_change;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_ended;

struct gate {
    bool is_open;
};

static void prepare(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&the_change, &attributes);
    pthread_condattr_destroy(&attributes);
}

int monitor_patience_ms(void)
{
    const char *seconds = getenv("E2E_PATIENCE");
    int value = seconds != NULL ? atoi(seconds) : 0;
    return (value > 0 ? value : 60) * 1000;
}

long long monitor_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void monitor_lock(void)
{
    pthread_once(&once, prepare);
    pthread_mutex_lock(&the_lock);
}

void monitor_unlock(void)
{
    pthread_mutex_unlock(&the_lock);
}

void monitor_changed(void)
{
    pthread_cond_broadcast(&the_change);
}

bool monitor_wait_locked(bool (*fact)(void *arg), void *arg)
{
    struct timespec until;
    int patience = monitor_patience_ms();

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience / 1000;
    while (!fact(arg)) {
        if (has_ended || pthread_cond_timedwait(&the_change, &the_lock, &until) == ETIMEDOUT)
            return fact(arg);
    }
    return true;
}

bool monitor_wait(bool (*fact)(void *arg), void *arg)
{
    monitor_lock();
    bool holds = monitor_wait_locked(fact, arg);
    monitor_unlock();
    return holds;
}

bool monitor_may_ask_again(long long start_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    monitor_lock();
    if (!has_ended)
        pthread_cond_timedwait(&the_change, &the_lock, &until);
    bool may = !has_ended && monitor_now_ms() - start_ms < monitor_patience_ms();
    monitor_unlock();
    return may;
}

void monitor_end(void)
{
    monitor_lock();
    has_ended = true;
    monitor_changed();
    monitor_unlock();
}

bool monitor_has_ended(void)
{
    monitor_lock();
    bool ended = has_ended;
    monitor_unlock();
    return ended;
}

struct gate *gate_new(void)
{
    struct gate *gate = calloc(1, sizeof *gate);
    return workplace_own(gate, free);
}

void gate_open(struct gate *gate)
{
    monitor_lock();
    gate->is_open = true;
    monitor_changed();
    monitor_unlock();
}

static bool gate_is_open(void *arg)
{
    return ((struct gate *)arg)->is_open;
}

bool gate_wait(struct gate *gate)
{
    return monitor_wait(gate_is_open, gate);
}
