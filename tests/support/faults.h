/* What tests/support/preload/faults.c makes fail in a process that it was preloaded into: the
 * layout of the file that says so, which the test writes and the process has mapped. Changes act at
 * once.
 */
#ifndef TESTS_SUPPORT_FAULTS_H
#define TESTS_SUPPORT_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

/* Each is a call, or a few of a kind. */
enum fault {
    FAULT_MEMORY, /* malloc, calloc, realloc: NULL */
    FAULT_ACCEPT, /* accept4 */
    FAULT_RECV,
    FAULT_SEND,
    FAULT_SOCKET,
    FAULT_CONNECT,
    FAULT_COUNT
};

enum { FAULT_ALWAYS = 1000000 };

struct fault_rule {
    _Atomic uint32_t per_million; /* calls that it strikes, by chance; 0: none */
    _Atomic int32_t error;        /* errno; 0: no failure, recv and send alone: the call is short */
    _Atomic uint32_t most_bytes;  /* error 0: of a short call, at least 1 */
    _Atomic uint32_t least_size;  /* FAULT_MEMORY: smaller pieces are had as ever */
    _Atomic uint64_t strikes;     /* counted by the process */
};

struct faults {
    struct fault_rule rules[FAULT_COUNT];
    _Atomic uint32_t everywhere;       /* on every thread; else on those called worker-N alone */
    _Atomic int64_t wall_ahead_ms;     /* how far the wall clock is ahead of the true one */
    _Atomic uint32_t threads_are_busy; /* each thread's own time passes like everybody's */
};

/* The variable that names the file. */
#define FAULTS_VARIABLE "SALLYPORT_FAULTS"

#endif
