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
};

/* All zeroes is an empty arena too. */
void arena_init(struct arena *arena);
/* For what is many and small and stays: the first blocks are small, each twice the last. */
void arena_init_small(struct arena *arena);

/* Zeroed and aligned for any type. Ends the process when there is no memory: what a peer can make
 * an arena hold is bounded by the limits on heads. */
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
