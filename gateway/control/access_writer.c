#include "control/access_writer.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 * 1024, /* what one write takes: a pipe holds no more */
    ROUND_BUSY_MS = 20,      /* a ring of 1 MiB holds more than any worker logs in that time */
    ROUND_IDLE_MS = 50,
    ROUND_PIECES = 64, /* from each ring; then orders are looked at again */
    STOP_PATIENCE_MS = 1000,
    LOST_EVENT_MS = 60 * 1000,
};

/* One ring's bytes on their way; what is behind the last newline waits for its rest. */
struct outlet {
    struct line_ring *ring;
    size_t length;
    char piece[PIECE_BYTES];
};

struct access_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct outlet *outlets;
    unsigned count;

    /* under the lock */
    struct access_target next; /* to switch to */
    bool has_next, wants_reopen, wants_stop;
    bool has_ended; /* the thread, all but */

    /* the thread's own */
    struct access_target target;
    bool has_failed; /* said once until a write succeeds again */
    uint64_t lost_said, lost_said_ms;

    _Atomic uint64_t failed_lines;
};

/* --- targets -----------------------------------------------------------------------------------
 */

static int open_file(const char *path)
{
    /* Not waiting for the reader of a FIFO: without one that is an error. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

bool access_target_open(struct access_target *target, enum access_log kind, const char *path,
                        struct error *error)
{
    *target = (struct access_target){.kind = kind, .fd = -1};
    if (kind != ACCESS_LOG_FILE)
        return true;
    target->fd = open_file(path);
    if (target->fd < 0) {
        error_set(error,
                  "cannot write the access log %s: %s; make its folder writable or set log.access",
                  path, strerror(errno));
        return false;
    }
    target->path = slice_duplicate(slice_of(path));
    return true;
}

void access_target_close(struct access_target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    free(target->path);
    *target = (struct access_target){.kind = ACCESS_LOG_OFF, .fd = -1};
}

/* --- the thread --------------------------------------------------------------------------------
 */

static int target_fd(const struct access_target *target)
{
    return target->kind == ACCESS_LOG_STDOUT ? STDOUT_FILENO : target->fd;
}

static const char *target_name(const struct access_target *target)
{
    return target->kind == ACCESS_LOG_FILE ? target->path : "standard output";
}

static uint64_t count_lines(struct slice text)
{
    uint64_t lines = 0;
    for (ptrdiff_t at; (at = slice_find(text, '\n')) >= 0; text = slice_skip(text, (size_t)at + 1))
        lines++;
    return lines;
}

/* The one place where the thread may be stuck, and so the one where it may be cancelled. */
static ssize_t write_cancellable(int fd, struct slice text)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
    ssize_t sent = write(fd, text.at, text.len);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return sent;
}

static void write_out(struct access_writer *writer, struct slice text)
{
    if (writer->target.kind == ACCESS_LOG_OFF)
        return;
    while (text.len > 0) {
        ssize_t sent = write_cancellable(target_fd(&writer->target), text);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            if (!writer->has_failed)
                log_event(LOG_ERROR, "access_log_failed",
                          "%s cannot be written (%s): access lines are lost until it can",
                          target_name(&writer->target), strerror(errno));
            writer->has_failed = true;
            atomic_fetch_add_explicit(&writer->failed_lines, count_lines(text),
                                      memory_order_relaxed);
            return;
        }
        text = slice_skip(text, (size_t)sent);
    }
    writer->has_failed = false;
}

/* With the lock held; what it returns is to be closed without it. */
static struct access_target switch_target(struct access_writer *writer)
{
    struct access_target old = {.fd = -1};

    if (writer->has_next) {
        old = writer->target;
        writer->target = writer->next;
        writer->next = (struct access_target){.kind = ACCESS_LOG_OFF, .fd = -1};
        writer->has_failed = false;
    }
    writer->has_next = false;
    return old;
}

/* Behind taking lines, before they are written: what was logged after the order came is among them,
 * and goes where the order says. */
static void follow_order(struct access_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    struct access_target old = switch_target(writer);
    pthread_mutex_unlock(&writer->lock);

    access_target_close(&old);
}

/* Whole lines only, so that two workers' lines never mix. True if there was anything. */
static bool empty_outlet(struct access_writer *writer, struct outlet *outlet)
{
    size_t got =
        line_ring_take(outlet->ring, outlet->piece + outlet->length, PIECE_BYTES - outlet->length);
    if (got == 0)
        return false;
    follow_order(writer);
    outlet->length += got;
    struct slice text = slice_make(outlet->piece, outlet->length);
    ptrdiff_t last = slice_find_last(text, '\n');
    size_t whole = (size_t)(last + 1);
    if (whole == 0 && outlet->length == PIECE_BYTES)
        whole = PIECE_BYTES; /* a line longer than that goes out in pieces */
    write_out(writer, slice_make(text.at, whole));
    outlet->length -= whole;
    memmove(outlet->piece, outlet->piece + whole, outlet->length);
    return true;
}

static bool empty_outlets(struct access_writer *writer)
{
    bool any = false;
    for (unsigned i = 0; i < writer->count; i++)
        any |= empty_outlet(writer, &writer->outlets[i]);
    return any;
}

uint64_t access_writer_lost(const struct access_writer *writer)
{
    uint64_t lost = atomic_load_explicit(&writer->failed_lines, memory_order_relaxed);
    for (unsigned i = 0; i < writer->count; i++)
        lost += line_ring_dropped(writer->outlets[i].ring);
    return lost;
}

static void say_lost(struct access_writer *writer)
{
    uint64_t lost = access_writer_lost(writer), now = clock_monotonic_ms();
    if (lost == writer->lost_said ||
        (writer->lost_said > 0 && now - writer->lost_said_ms < LOST_EVENT_MS))
        return;
    log_event(LOG_WARN, "access_log_dropped",
              "%llu access lines were lost: whoever reads %s is slower than the requests come",
              (unsigned long long)(lost - writer->lost_said), target_name(&writer->target));
    writer->lost_said = lost;
    writer->lost_said_ms = now;
}

static void reopen(struct access_writer *writer)
{
    if (writer->target.kind != ACCESS_LOG_FILE)
        return;
    int fd = open_file(writer->target.path);
    if (fd < 0) {
        log_event(LOG_ERROR, "access_log_failed",
                  "%s cannot be opened anew (%s): lines still go to the file opened before",
                  writer->target.path, strerror(errno));
        return;
    }
    close(writer->target.fd);
    writer->target.fd = fd;
    writer->has_failed = false;
    log_event(LOG_INFO, "access_log_reopened", "%s was opened anew", writer->target.path);
}

/* By the clock that `wake` goes by, which nobody sets. */
static struct timespec from_now(unsigned ms)
{
    struct timespec then;
    clock_gettime(CLOCK_MONOTONIC, &then);
    then.tv_nsec += (long)ms * 1000000L;
    then.tv_sec += then.tv_nsec / 1000000000L;
    then.tv_nsec %= 1000000000L;
    return then;
}

/* Waits for an order or the next round; returns whether to go on. */
static bool take_orders(struct access_writer *writer, unsigned wait_ms)
{
    struct timespec until = from_now(wait_ms);

    pthread_mutex_lock(&writer->lock);
    int late = 0;
    while (late == 0 && !writer->has_next && !writer->wants_reopen && !writer->wants_stop)
        late = pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
    bool goes_on = !writer->wants_stop, wants_reopen = writer->wants_reopen;
    struct access_target old = switch_target(writer);
    writer->wants_reopen = false;
    pthread_mutex_unlock(&writer->lock);

    access_target_close(&old);
    if (wants_reopen)
        reopen(writer);
    return goes_on;
}

static void *run_writer(void *owner)
{
    struct access_writer *writer = owner;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    bool was_busy = false;
    while (take_orders(writer, was_busy ? ROUND_BUSY_MS : ROUND_IDLE_MS)) {
        was_busy = false;
        for (int piece = 0; piece < ROUND_PIECES && empty_outlets(writer); piece++)
            was_busy = true;
        say_lost(writer);
    }
    while (empty_outlets(writer))
        continue;
    pthread_mutex_lock(&writer->lock);
    writer->has_ended = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* --- orders ------------------------------------------------------------------------------------
 */

struct access_writer *access_writer_start(struct line_ring *const *rings, unsigned count,
                                          struct error *error)
{
    struct access_writer *writer = memory_new(sizeof(*writer));
    writer->outlets = memory_array(count, sizeof(*writer->outlets));
    writer->count = count;
    for (unsigned i = 0; i < count; i++)
        writer->outlets[i].ring = rings[i];
    writer->target = writer->next = (struct access_target){.kind = ACCESS_LOG_OFF, .fd = -1};
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = pthread_create(&writer->thread, NULL, run_writer, writer);
    if (failure != 0) {
        error_set(error, "cannot start the access log's thread: %s", strerror(failure));
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->lock);
        free(writer->outlets);
        free(writer);
        return NULL;
    }
    return writer;
}

void access_writer_switch(struct access_writer *writer, struct access_target *target)
{
    pthread_mutex_lock(&writer->lock);
    struct access_target unused = writer->next;
    writer->next = *target;
    writer->has_next = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    *target = (struct access_target){.kind = ACCESS_LOG_OFF, .fd = -1};
    access_target_close(&unused);
}

void access_writer_reopen(struct access_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->wants_reopen = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
}

void access_writer_stop(struct access_writer *writer)
{
    if (writer == NULL)
        return;
    struct timespec until = from_now(STOP_PATIENCE_MS);
    int late = 0;
    pthread_mutex_lock(&writer->lock);
    writer->wants_stop = true;
    pthread_cond_signal(&writer->wake);
    while (!writer->has_ended && late == 0)
        late = pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
    bool has_ended = writer->has_ended;
    pthread_mutex_unlock(&writer->lock);
    if (!has_ended) {
        log_event(LOG_WARN, "access_log_dropped",
                  "the last access lines are lost: whoever reads them has stalled");
        pthread_cancel(writer->thread);
    }
    pthread_join(writer->thread, NULL);
    access_target_close(&writer->target);
    access_target_close(&writer->next);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    free(writer->outlets);
    free(writer);
}
