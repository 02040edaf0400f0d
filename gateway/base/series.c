#include "base/series.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

struct series_entry {
    struct slice name;
    _Atomic(_Atomic uint64_t *) blocks[]; /* by view; NULL: it has not counted anything yet */
};

struct series {
    unsigned views;
    size_t counters; /* of a block */
    struct series_entry *other;
    _Atomic int64_t limit;

    pthread_mutex_t lock; /* of what follows */
    struct series_entry **entries;
    _Atomic size_t count; /* read without the lock as well */
    size_t capacity;
    struct table by_name;
};

static struct series_entry *entry_new(const struct series *series, struct slice name)
{
    struct series_entry *entry =
        memory_new(sizeof(*entry) + series->views * sizeof(entry->blocks[0]));

    entry->name = slice_make(slice_duplicate(name), name.len);
    return entry;
}

static void entry_free(const struct series *series, struct series_entry *entry)
{
    for (unsigned i = 0; i < series->views; i++)
        free(atomic_load_explicit(&entry->blocks[i], memory_order_relaxed));
    free((char *)(uintptr_t)entry->name.at);
    free(entry);
}

struct series *series_new(unsigned views, size_t counters)
{
    struct series *series = memory_new(sizeof(*series));

    series->views = views;
    series->counters = counters;
    series->other = entry_new(series, slice_of("other"));
    pthread_mutex_init(&series->lock, NULL);
    return series;
}

void series_free(struct series *series)
{
    if (series == NULL)
        return;
    for (size_t i = 0; i < series->count; i++)
        entry_free(series, series->entries[i]);
    entry_free(series, series->other);
    table_clear(&series->by_name);
    pthread_mutex_destroy(&series->lock);
    free(series->entries);
    free(series);
}

void series_set_limit(struct series *series, int64_t limit)
{
    atomic_store_explicit(&series->limit, limit, memory_order_relaxed);
}

static bool is_full(const struct series *series, size_t count)
{
    int64_t limit = atomic_load_explicit(&series->limit, memory_order_relaxed);

    return limit != SERIES_UNLIMITED && count >= (size_t)limit;
}

/* --- views -------------------------------------------------------------------------------------
 */

void series_view_init(struct series_view *view, struct series *series, unsigned number)
{
    assert(number < series->views);
    *view = (struct series_view){.series = series, .number = number};
    table_put(&view->known, series->other->name, series->other);
}

void series_view_clear(struct series_view *view)
{
    table_clear(&view->known);
}

static struct series_entry *add_entry(struct series *series, struct slice name)
{
    size_t count = atomic_load_explicit(&series->count, memory_order_relaxed);
    struct series_entry *entry = entry_new(series, name);

    if (count == series->capacity) {
        series->capacity = count > 0 ? 2 * count : 16;
        series->entries =
            memory_resize(series->entries, series->capacity * sizeof(*series->entries));
    }
    series->entries[count] = entry;
    table_put(&series->by_name, entry->name, entry);
    atomic_store_explicit(&series->count, count + 1, memory_order_release);
    return entry;
}

/* A name that the view does not know: another one may, or it is the first to meet it. */
static struct series_entry *meet(struct series_view *view, struct slice name)
{
    struct series *series = view->series;
    size_t count = atomic_load_explicit(&series->count, memory_order_acquire);
    struct series_entry *entry;

    if (count == view->known_count && is_full(series, count))
        return series->other;
    pthread_mutex_lock(&series->lock);
    count = atomic_load_explicit(&series->count, memory_order_relaxed);
    entry = table_get(&series->by_name, name);
    if (entry == NULL && !is_full(series, count))
        entry = add_entry(series, name);
    count = atomic_load_explicit(&series->count, memory_order_relaxed);
    for (; view->known_count < count; view->known_count++) {
        struct series_entry *seen = series->entries[view->known_count];
        table_put(&view->known, seen->name, seen);
    }
    pthread_mutex_unlock(&series->lock);
    return entry != NULL ? entry : series->other;
}

struct series_entry *series_find(struct series_view *view, struct slice name)
{
    struct series_entry *entry = table_get(&view->known, name);

    return entry != NULL ? entry : meet(view, name);
}

bool series_is_other(const struct series_view *view, const struct series_entry *entry)
{
    return entry == view->series->other;
}

struct slice series_name(const struct series_entry *entry)
{
    return entry->name;
}

_Atomic uint64_t *series_counters(struct series_view *view, struct series_entry *entry)
{
    _Atomic(_Atomic uint64_t *) *at = &entry->blocks[view->number];
    _Atomic uint64_t *block = atomic_load_explicit(at, memory_order_relaxed);

    if (block == NULL) {
        block = memory_array(view->series->counters, sizeof(*block));
        atomic_store_explicit(at, block, memory_order_release);
    }
    return block;
}

/* --- reading -----------------------------------------------------------------------------------
 */

bool series_has(struct series *series, struct slice name)
{
    pthread_mutex_lock(&series->lock);
    bool has = table_get(&series->by_name, name) != NULL;
    pthread_mutex_unlock(&series->lock);
    return has;
}

size_t series_room(struct series *series)
{
    int64_t limit = atomic_load_explicit(&series->limit, memory_order_relaxed);
    size_t count = atomic_load_explicit(&series->count, memory_order_relaxed);

    if (limit == SERIES_UNLIMITED)
        return SIZE_MAX;
    return count < (size_t)limit ? (size_t)limit - count : 0;
}

/* False when nobody has counted anything under it. */
static bool add_up(const struct series *series, const struct series_entry *entry, uint64_t *sums)
{
    bool is_used = false;

    memset(sums, 0, series->counters * sizeof(*sums));
    for (unsigned i = 0; i < series->views; i++) {
        _Atomic uint64_t *block = atomic_load_explicit(&entry->blocks[i], memory_order_acquire);
        for (size_t k = 0; block != NULL && k < series->counters; k++)
            sums[k] += atomic_load_explicit(&block[k], memory_order_relaxed);
        is_used |= block != NULL;
    }
    return is_used;
}

static struct series_entry *entry_at(struct series *series, size_t position)
{
    struct series_entry *entry = NULL;

    pthread_mutex_lock(&series->lock);
    size_t count = atomic_load_explicit(&series->count, memory_order_relaxed);
    if (position < count)
        entry = series->entries[position];
    else if (position == count)
        entry = series->other;
    pthread_mutex_unlock(&series->lock);
    return entry;
}

bool series_next(struct series *series, size_t *position, struct slice *name, uint64_t *sums)
{
    struct series_entry *entry;

    while ((entry = entry_at(series, *position)) != NULL) {
        ++*position;
        if (entry == series->other)
            *position = SIZE_MAX;
        *name = entry->name;
        if (add_up(series, entry, sums))
            return true;
    }
    return false;
}
