#include "base/table.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { CAPACITY_FIRST = 16 };

/* --- hash ----------------------------------------------------------------------------------------
 */

/* Different in each process, so that nobody can prepare keys that collide. */
static uint64_t own_seed[3];

__attribute__((constructor)) static void choose_seed(void)
{
    if (getrandom(own_seed, sizeof(own_seed), GRND_NONBLOCK) == (ssize_t)sizeof(own_seed))
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    own_seed[0] = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15;
    own_seed[1] = (uint64_t)(uintptr_t)&now * 0xbf58476d1ce4e5b9 + own_seed[0];
    own_seed[2] = (uint64_t)now.tv_sec * 0x94d049bb133111eb + own_seed[1];
}

/* Both halves of the product: every bit of either factor reaches every bit of the answer. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load_8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static uint64_t load_4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static uint64_t hash_with(const uint64_t seed[3], struct slice bytes)
{
    const char *at = bytes.at;
    size_t left = bytes.len;
    uint64_t hash = seed[0] ^ left, low = 0, high = 0;
    for (; left > 16; at += 16, left -= 16)
        hash = mix(load_8(at) ^ seed[1], load_8(at + 8) ^ hash);
    /* The two words of the rest may overlap: the length is in the hash already. */
    if (left >= 8) {
        low = load_8(at);
        high = load_8(at + left - 8);
    } else if (left >= 4) {
        low = load_4(at);
        high = load_4(at + left - 4);
    } else if (left > 0) {
        low = (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[left / 2] << 8 |
              (uint8_t)at[left - 1];
    }
    return mix(mix(low ^ seed[1], high ^ hash) ^ seed[2], seed[1] ^ bytes.len);
}

uint64_t hash_bytes(struct slice bytes)
{
    return hash_with(own_seed, bytes);
}

uint64_t hash_fixed(struct slice bytes)
{
    /* Any bits do, as long as they stay the same: fractional digits of pi. */
    static const uint64_t seed[3] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0};

    return hash_with(seed, bytes);
}

/* --- table: linear probing, at most three quarters full ------------------------------------------
 */

void table_init(struct table *table)
{
    *table = (struct table){0};
}

void table_clear(struct table *table)
{
    free(table->entries);
    table_init(table);
}

/* The entry with that key, or the free one where it would go. */
static struct table_entry *find(const struct table *table, struct slice key, uint64_t hash)
{
    size_t mask = table->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct table_entry *entry = &table->entries[i];
        if (entry->value == NULL || (entry->hash == hash && slice_equal(entry->key, key)))
            return entry;
    }
}

static void grow(struct table *table)
{
    struct table larger = {.count = table->count};
    larger.capacity = table->capacity > 0 ? table->capacity * 2 : CAPACITY_FIRST;
    larger.entries = memory_array(larger.capacity, sizeof(*larger.entries));
    for (size_t i = 0; i < table->capacity; i++) {
        const struct table_entry *entry = &table->entries[i];
        if (entry->value != NULL)
            *find(&larger, entry->key, entry->hash) = *entry;
    }
    free(table->entries);
    *table = larger;
}

void *table_get(const struct table *table, struct slice key)
{
    if (table->count == 0)
        return NULL;
    return find(table, key, hash_bytes(key))->value;
}

void *table_put(struct table *table, struct slice key, void *value)
{
    assert(value != NULL);
    if (table->count >= table->capacity / 4 * 3)
        grow(table);
    uint64_t hash = hash_bytes(key);
    struct table_entry *entry = find(table, key, hash);
    void *before = entry->value;
    if (before == NULL)
        table->count++;
    *entry = (struct table_entry){.key = key, .value = value, .hash = hash};
    return before;
}

void *table_remove(struct table *table, struct slice key)
{
    if (table->count == 0)
        return NULL;
    struct table_entry *removed = find(table, key, hash_bytes(key));
    void *before = removed->value;
    if (before == NULL)
        return NULL;
    table->count--;

    /* Close the gap: whatever probed past it moves into it. */
    size_t mask = table->capacity - 1;
    size_t gap = (size_t)(removed - table->entries);
    for (size_t i = (gap + 1) & mask; table->entries[i].value != NULL; i = (i + 1) & mask) {
        size_t home = table->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        table->entries[gap] = table->entries[i];
        gap = i;
    }
    table->entries[gap] = (struct table_entry){0};
    return before;
}

struct table_entry *table_next(const struct table *table, size_t *position)
{
    while (*position < table->capacity) {
        struct table_entry *entry = &table->entries[(*position)++];
        if (entry->value != NULL)
            return entry;
    }
    return NULL;
}
