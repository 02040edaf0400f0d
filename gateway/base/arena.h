/* Memory that is freed all at once: what one request needs, or one generation of configuration. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *newest;
    char *next, *limit;
    size_t total_bytes; /* handed out since the last reset */
    size_t next_block;  /* size of the next block; 0: the usual one */
    bool is_short;      /* the thread's reserve had to help out */
    bool is_shared;     /* it never does: another thread may clear this arena */
};

/* All zeroes is an empty arena too. */
void arena_init(struct arena *arena);
/* For what is many and small and stays: the first blocks are small, each twice the last. */
void arena_init_small(struct arena *arena);
/* The same, for what another thread may clear. */
void arena_init_shared(struct arena *arena);

/* Memory that the calling thread keeps for its arenas, for when there is no other: what was being
 * made is made to its end, and whoever works with an arena that is short lets go of it soon.
 * Without a reserve, or once it is used up, they wait for memory or end the process (memory_new).
 */
void arena_reserve_init(size_t bytes);
void arena_reserve_clear(void); /* no arena holds any of it */
/* More than half of it is in use. */
bool arena_reserve_is_low(void);

/* Makes room for `bytes`, without the reserve; false when there is no memory. For what a peer
 * sizes: all else together stays small beside the reserve. */
bool arena_provide(struct arena *arena, size_t bytes);

/* Zeroed and aligned for any type. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* Not zeroed, any alignment: for bytes. */
char *arena_bytes(struct arena *arena, size_t bytes);
struct slice arena_copy(struct arena *arena, struct slice bytes);
/* A terminated copy. */
char *arena_text(struct arena *arena, struct slice bytes);
struct slice arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets everything but keeps one block of the usual size for the next use. */
void arena_reset(struct arena *arena);
void arena_clear(struct arena *arena);

#endif
