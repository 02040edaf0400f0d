/* Random numbers to spread things with: fast, even, and the same again from the same seed. Whoever
 * sees some can tell the rest: no secret comes from here. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* The seed, then what became of it. Any value will do. */
struct random_source {
    uint64_t state;
};

/* A seed that nobody knows beforehand. */
uint64_t random_seed(void);

uint64_t random_next(struct random_source *source);
/* 0 to end - 1, each as likely; `end` is above 0. */
uint64_t random_below(struct random_source *source, uint64_t end);

#endif
