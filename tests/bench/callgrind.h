/* Valgrind's requests to callgrind, or, where its header is not there, nothing instead of them. */
#ifndef BENCH_CALLGRIND_H
#define BENCH_CALLGRIND_H

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

#endif
