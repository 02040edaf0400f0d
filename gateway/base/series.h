/* Names with counters: so many of them in order of first use, the rest together as "other".
 *
 * Shared by the whole process. Every thread that counts has a view of its own, and under each name
 * it meets a block of counters that it alone writes; whoever reads adds the blocks up. Names stay
 * for the life of the process: counters do not go backwards. */
#ifndef BASE_SERIES_H
#define BASE_SERIES_H

#include "base/table.h"

#include <stdatomic.h>

struct series;
struct series_entry; /* a name and its blocks; as long-lived as the series */

/* Each block is `counters` counters of 64 bits, zero at first; so many views may be made. */
struct series *series_new(unsigned views, size_t counters);
/* No view may be left. */
void series_free(struct series *series);

enum { SERIES_UNLIMITED = -1 };
/* How many names may have an entry of their own; those that have one keep it. 0 until it is set.
 * Any thread. */
void series_set_limit(struct series *series, int64_t limit);

/* One thread's. */
struct series_view {
    struct series *series;
    unsigned number;
    struct table known; /* of struct series_entry */
    size_t known_count; /* how many of the series' entries it has seen */
};

/* `number` is below the series' views, and this one's alone. */
void series_view_init(struct series_view *view, struct series *series, unsigned number);
void series_view_clear(struct series_view *view);

/* The entry for a name, which is copied; that of "other" when there is no room. Takes a lock only
 * where a name may be new. */
struct series_entry *series_find(struct series_view *view, struct slice name);
bool series_is_other(const struct series_view *view, const struct series_entry *entry);
struct slice series_name(const struct series_entry *entry);
/* This view's counters under it, made when first asked for. */
_Atomic uint64_t *series_counters(struct series_view *view, struct series_entry *entry);

/* Whether a name has an entry of its own. Any thread. */
bool series_has(struct series *series, struct slice name);
/* How many more names could have one; SIZE_MAX: any number. Any thread. */
size_t series_room(struct series *series);

/* For walking, from any thread: the name at or behind *position, which moves on, with the sums of
 * its counters; names that nobody has counted under are passed over, "other" is the last. False at
 * the end. */
bool series_next(struct series *series, size_t *position, struct slice *name, uint64_t *sums);

#endif
