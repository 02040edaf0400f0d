#include "policy/rate_table.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    WAYS = 8, /* entries of a line */
    LINE_BITS = 16,
    LINES = 1 << LINE_BITS,
    LOCKS = 1024, /* each for the lines with its number at their end */
};

struct entry {
    uint64_t key;
    uint64_t due_ns; /* when its debt has run off; past: free */
    float window_ns; /* of the limit that it is a debt of */
};

struct line {
    struct entry entries[WAYS];
};

struct lock {
    _Alignas(64) pthread_mutex_t mutex;
};

struct rate_table {
    struct lock locks[LOCKS];
    struct line *lines;
};

struct rate_table *rate_table_new(void)
{
    struct rate_table *table = aligned_alloc(64, sizeof(*table));

    if (table == NULL)
        return NULL;
    table->lines = calloc(LINES, sizeof(*table->lines));
    if (table->lines == NULL) {
        free(table);
        return NULL;
    }
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&table->locks[i].mutex, NULL);
    return table;
}

void rate_table_free(struct rate_table *table)
{
    if (table == NULL)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&table->locks[i].mutex);
    free(table->lines);
    free(table);
}

/* --- a debt --------------------------------------------------------------------------------------
 */

void rate_charge_weigh(struct rate_charge *charge, uint64_t debt_ns)
{
    const struct rate *rate = &charge->rate;

    charge->is_over = debt_ns > rate->window_ns - rate->interval_ns;
    charge->debt_ns = debt_ns;
}

uint64_t rate_wait_ns(const struct rate_charge *charge)
{
    const struct rate *rate = &charge->rate;
    uint64_t most = rate->window_ns - rate->interval_ns;

    return charge->debt_ns > most ? charge->debt_ns - most : 0;
}

uint64_t rate_remaining(const struct rate_charge *charge)
{
    const struct rate *rate = &charge->rate;

    return charge->debt_ns < rate->window_ns
               ? (rate->window_ns - charge->debt_ns) / rate->interval_ns
               : 0;
}

/* --- lines; their locks are held -----------------------------------------------------------------
 */

static unsigned line_of(uint64_t key)
{
    return (unsigned)(key >> (64 - LINE_BITS));
}

static unsigned lock_of(uint64_t key)
{
    return line_of(key) & (LOCKS - 1);
}

static uint64_t debt_of(const struct entry *entry, uint64_t now_ns)
{
    return entry->due_ns > now_ns ? entry->due_ns - now_ns : 0;
}

static double part_used(const struct entry *entry, uint64_t now_ns)
{
    uint64_t debt_ns = debt_of(entry, now_ns);

    return debt_ns > 0 ? (double)debt_ns / (double)entry->window_ns : 0;
}

static struct entry *find(struct rate_table *table, uint64_t key)
{
    struct line *line = &table->lines[line_of(key)];

    for (unsigned i = 0; i < WAYS; i++)
        if (line->entries[i].key == key)
            return &line->entries[i];
    return NULL;
}

/* One that is free, or the one that the least is lost with. */
static struct entry *claim(struct rate_table *table, uint64_t key, uint64_t now_ns)
{
    struct line *line = &table->lines[line_of(key)];
    struct entry *least = &line->entries[0];

    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *entry = &line->entries[i];
        if (entry->due_ns <= now_ns)
            return entry;
        if (part_used(entry, now_ns) < part_used(least, now_ns))
            least = entry;
    }
    return least;
}

/* The same part of another window is used. */
static void follow_window(struct entry *entry, uint64_t window_ns, uint64_t now_ns)
{
    if (entry->window_ns == (float)window_ns)
        return;
    entry->due_ns = now_ns + (uint64_t)(part_used(entry, now_ns) * (double)window_ns);
    entry->window_ns = (float)window_ns;
}

static void weigh(struct rate_table *table, uint64_t now_ns, struct rate_charge *charge)
{
    struct entry *entry = find(table, charge->key);

    if (entry != NULL)
        follow_window(entry, charge->rate.window_ns, now_ns);
    rate_charge_weigh(charge, entry != NULL ? debt_of(entry, now_ns) : 0);
}

static void keep(struct rate_table *table, uint64_t now_ns, const struct rate_charge *charge)
{
    struct entry *entry = find(table, charge->key);

    if (entry == NULL)
        entry = claim(table, charge->key, now_ns);
    *entry = (struct entry){.key = charge->key,
                            .due_ns = now_ns + charge->debt_ns,
                            .window_ns = (float)charge->rate.window_ns};
}

static void charge_one(struct rate_table *table, uint64_t now_ns, struct rate_charge *charge)
{
    charge->debt_ns += charge->rate.interval_ns;
    keep(table, now_ns, charge);
}

static void refund_one(struct rate_table *table, uint64_t now_ns, struct rate_charge *charge)
{
    struct entry *entry = find(table, charge->key);
    uint64_t interval_ns = charge->rate.interval_ns;

    charge->debt_ns -= interval_ns;
    if (entry != NULL && debt_of(entry, now_ns) > 0)
        entry->due_ns -= interval_ns < entry->due_ns ? interval_ns : entry->due_ns;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

/* In the order of their numbers, each once. Returns how many. */
static unsigned collect_locks(const struct rate_charge *charges, unsigned count,
                              unsigned locks[RATE_CHARGES_MOST])
{
    unsigned collected = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned number = lock_of(charges[i].key), at = 0;
        while (at < collected && locks[at] < number)
            at++;
        if (at < collected && locks[at] == number)
            continue;
        for (unsigned k = collected++; k > at; k--)
            locks[k] = locks[k - 1];
        locks[at] = number;
    }
    return collected;
}

bool rate_table_charge(struct rate_table *table, uint64_t now_ns, struct rate_charge *charges,
                       unsigned count)
{
    unsigned locks[RATE_CHARGES_MOST], held;
    bool passes = true;

    assert(count <= RATE_CHARGES_MOST);
    held = collect_locks(charges, count, locks);
    for (unsigned i = 0; i < held; i++)
        pthread_mutex_lock(&table->locks[locks[i]].mutex);
    for (unsigned i = 0; i < count; i++) {
        weigh(table, now_ns, &charges[i]);
        passes &= !(charges[i].is_over && charges[i].is_enforced);
    }
    for (unsigned i = 0; passes && i < count; i++)
        if (!charges[i].is_over)
            charge_one(table, now_ns, &charges[i]);
    for (unsigned i = held; i-- > 0;)
        pthread_mutex_unlock(&table->locks[locks[i]].mutex);
    return passes;
}

void rate_table_refund(struct rate_table *table, uint64_t now_ns, struct rate_charge *charges,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pthread_mutex_t *mutex = &table->locks[lock_of(charges[i].key)].mutex;
        if (charges[i].is_over)
            continue;
        pthread_mutex_lock(mutex);
        refund_one(table, now_ns, &charges[i]);
        pthread_mutex_unlock(mutex);
    }
}

void rate_table_note(struct rate_table *table, uint64_t now_ns, const struct rate_charge *charges,
                     unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pthread_mutex_t *mutex = &table->locks[lock_of(charges[i].key)].mutex;
        pthread_mutex_lock(mutex);
        keep(table, now_ns, &charges[i]);
        pthread_mutex_unlock(mutex);
    }
}

size_t rate_table_used(struct rate_table *table, uint64_t now_ns)
{
    size_t used = 0;

    for (unsigned i = 0; i < LINES; i++)
        for (unsigned k = 0; k < WAYS; k++)
            used += table->lines[i].entries[k].due_ns > now_ns;
    return used;
}

size_t rate_table_room(void)
{
    return (size_t)LINES * WAYS;
}
