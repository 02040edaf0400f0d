/* A hash table from bytes to a pointer: a look-up costs the same with ten keys or 100,000. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/slice.h"

struct table_entry {
    struct slice key; /* borrowed: lives as long as the value does */
    void *value;      /* NULL: free */
    uint64_t hash;
};

/* All zeroes is an empty table. */
struct table {
    struct table_entry *entries; /* open addressing, a power of two of them */
    size_t capacity, count;
};

void table_init(struct table *table);
void table_clear(struct table *table); /* frees the table, not the values */

/* NULL when there is none. Case matters: lower-case first where it should not. */
void *table_get(const struct table *table, struct slice key);

/* Adds, or replaces and returns what was there. `value` is not NULL; `key` is borrowed. */
void *table_put(struct table *table, struct slice key, void *value);

/* Returns what was there, or NULL. */
void *table_remove(struct table *table, struct slice key);

/* For walking: the first entry at or after *position, which moves behind it; NULL at the end.
 * The order means nothing; the table must not change meanwhile. */
struct table_entry *table_next(const struct table *table, size_t *position);

/* The hash in use, for those who shard by it. */
uint64_t hash_bytes(struct slice bytes);
/* The same in every process and at every start: for what gateways have to agree on. Keys that
 * collide can be prepared for it. */
uint64_t hash_fixed(struct slice bytes);

#endif
