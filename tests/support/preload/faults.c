/* A library for LD_PRELOAD that has calls fail, or be short, as a mapped file tells: see
 * support/faults.h. Without the variable it does nothing. */
#include "support/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct faults *faults; /* NULL: none are wanted */

static int (*real_accept4)(int, struct sockaddr *, socklen_t *, int);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static int (*real_socket)(int, int, int);
static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

/* Before main, or earlier when another library's constructor calls something. */
static void find_calls(void)
{
    if (real_clock_gettime != NULL)
        return;
    *(void **)&real_accept4 = next("accept4");
    *(void **)&real_recv = next("recv");
    *(void **)&real_send = next("send");
    *(void **)&real_socket = next("socket");
    *(void **)&real_connect = next("connect");
    *(void **)&real_clock_gettime = next("clock_gettime");
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(FAULTS_VARIABLE);
    void *mapped;
    int fd;

    find_calls();
    if (path == NULL)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        abort();
    faults = mapped;
}

/* --- chance -----------------------------------------------------------------------------------
 */

/* Those that were given a worker's name; a sandboxed process may not ask for it. */
static _Atomic pthread_t workers[64];

int pthread_setname_np(pthread_t thread, const char *name)
{
    static int (*real_setname)(pthread_t, const char *);
    static _Atomic unsigned count;

    if (real_setname == NULL)
        *(void **)&real_setname = next("pthread_setname_np");
    if (strncmp(name, "worker-", 7) == 0) {
        unsigned place = atomic_fetch_add(&count, 1);
        if (place < sizeof(workers) / sizeof(workers[0]))
            atomic_store(&workers[place], thread);
    }
    return real_setname(thread, name);
}

static bool is_worker(void)
{
    pthread_t self = pthread_self();

    for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
        pthread_t worker = atomic_load_explicit(&workers[i], memory_order_relaxed);
        if (worker == 0 || worker == self)
            return worker == self;
    }
    return false;
}

static uint32_t draw(void)
{
    static _Thread_local uint64_t state;

    if (state == 0)
        state = (uint64_t)(uintptr_t)&state | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % FAULT_ALWAYS);
}

/* NULL: this call is left alone. */
static struct fault_rule *strike(enum fault fault)
{
    struct fault_rule *rule;
    uint32_t chance;

    if (faults == NULL)
        return NULL;
    rule = &faults->rules[fault];
    chance = atomic_load_explicit(&rule->per_million, memory_order_relaxed);
    if (chance == 0 || draw() >= chance)
        return NULL;
    if (atomic_load_explicit(&faults->everywhere, memory_order_relaxed) == 0 && !is_worker())
        return NULL;
    atomic_fetch_add_explicit(&rule->strikes, 1, memory_order_relaxed);
    return rule;
}

/* True, with errno set: the call fails. */
static bool fails(enum fault fault)
{
    struct fault_rule *rule = strike(fault);
    int error = rule != NULL ? atomic_load_explicit(&rule->error, memory_order_relaxed) : 0;

    if (error != 0)
        errno = error;
    return error != 0;
}

/* The same for calls that may be short; then *length is cut. */
static bool fails_or_cuts(enum fault fault, size_t *length)
{
    struct fault_rule *rule = strike(fault);
    size_t most;

    if (rule == NULL)
        return false;
    errno = atomic_load_explicit(&rule->error, memory_order_relaxed);
    if (errno != 0)
        return true;
    most = atomic_load_explicit(&rule->most_bytes, memory_order_relaxed);
    if (most == 0)
        most = 1;
    if (*length > most)
        *length = most;
    return false;
}

/* --- memory: not where a sanitizer has its own ------------------------------------------------
 */

#ifndef FAULTS_WITHOUT_MEMORY

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool is_denied(size_t size)
{
    if (faults == NULL)
        return false;
    if (size < atomic_load_explicit(&faults->rules[FAULT_MEMORY].least_size, memory_order_relaxed))
        return false;
    if (strike(FAULT_MEMORY) == NULL)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return is_denied(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_denied(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return size != 0 && is_denied(size) ? NULL : __libc_realloc(old, size);
}

#endif

/* --- sockets ----------------------------------------------------------------------------------
 */

int accept4(int fd, struct sockaddr *peer, socklen_t *length, int flags)
{
    return fails(FAULT_ACCEPT) ? -1 : real_accept4(fd, peer, length, flags);
}

ssize_t recv(int fd, void *into, size_t room, int flags)
{
    return fails_or_cuts(FAULT_RECV, &room) ? -1 : real_recv(fd, into, room, flags);
}

ssize_t send(int fd, const void *from, size_t length, int flags)
{
    return fails_or_cuts(FAULT_SEND, &length) ? -1 : real_send(fd, from, length, flags);
}

int socket(int family, int type, int protocol)
{
    return fails(FAULT_SOCKET) ? -1 : real_socket(family, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return fails(FAULT_CONNECT) ? -1 : real_connect(fd, address, length);
}

/* --- clocks ---------------------------------------------------------------------------
 */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t ahead_ms, nanoseconds;
    int result;

    find_calls();
    if (faults != NULL && clock == CLOCK_THREAD_CPUTIME_ID &&
        atomic_load_explicit(&faults->threads_are_busy, memory_order_relaxed))
        clock = CLOCK_MONOTONIC;
    result = real_clock_gettime(clock, now);
    if (faults == NULL || result != 0 ||
        (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    ahead_ms = atomic_load_explicit(&faults->wall_ahead_ms, memory_order_relaxed);
    nanoseconds = now->tv_nsec + ahead_ms % 1000 * 1000000;
    now->tv_sec += (time_t)(ahead_ms / 1000);
    if (nanoseconds < 0) {
        nanoseconds += 1000000000;
        now->tv_sec--;
    } else if (nanoseconds >= 1000000000) {
        nanoseconds -= 1000000000;
        now->tv_sec++;
    }
    now->tv_nsec = (long)nanoseconds;
    return result;
}

/* BoringSSL asks these. */
int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into)
{
    struct timespec exact;

    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    if (into != NULL)
        *into = exact.tv_sec;
    return exact.tv_sec;
}
