#include "proxy/address_counts.h"

#include "base/check.h"
#include "base/table.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SHARDS = 64,
    SHARD_BITS = 6,
    ROOM_LEAST = 16, /* of a shard that has held something once */
};

static_assert(1 << SHARD_BITS == SHARDS, "the shard is some bits of the hash");

struct entry {
    uint64_t network;
    uint32_t family;
    uint32_t count; /* 0: free */
};

/* Linear probing, at most three quarters full; `room` is a power of two or 0. */
struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry *entries;
    uint32_t room, used;
};

struct address_counts {
    struct shard shards[SHARDS];
};

/* --- keys ----------------------------------------------------------------------------------------
 */

static uint64_t read_big_endian(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

struct address_key address_key_of(const struct address *address)
{
    const struct in6_addr *v6 = &address->as.v6.sin6_addr;
    if (address->as.any.sa_family == AF_INET)
        return (struct address_key){ntohl(address->as.v4.sin_addr.s_addr), 4};
    if (address->as.any.sa_family != AF_INET6)
        return (struct address_key){0};
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return (struct address_key){read_big_endian(v6->s6_addr + 12, 4), 4};
    return (struct address_key){read_big_endian(v6->s6_addr, 8), 6};
}

static uint64_t hash_of(uint64_t network, uint64_t family)
{
    uint64_t words[] = {network, family};
    return hash_bytes(slice_make((const char *)words, sizeof(words)));
}

/* --- a shard; its lock is held -------------------------------------------------------------------
 */

static uint32_t home_of(const struct shard *shard, uint64_t hash)
{
    return (uint32_t)(hash >> SHARD_BITS) & (shard->room - 1);
}

/* The key's entry, or the free one where it would go. There is one. */
static struct entry *find(const struct shard *shard, uint64_t hash, const struct address_key *key)
{
    for (uint32_t i = home_of(shard, hash);; i = (i + 1) & (shard->room - 1)) {
        struct entry *entry = &shard->entries[i];
        if (entry->count == 0 || (entry->network == key->network && entry->family == key->family))
            return entry;
    }
}

/* False: no memory; it stays as it was. */
static bool resize(struct shard *shard, uint32_t room)
{
    struct shard other = {.room = room, .used = shard->used};
    other.entries = calloc(room, sizeof(*other.entries));
    if (other.entries == NULL)
        return false;
    for (uint32_t i = 0; i < shard->room; i++) {
        const struct entry *entry = &shard->entries[i];
        const struct address_key key = {entry->network, entry->family};
        if (entry->count > 0)
            *find(&other, hash_of(key.network, key.family), &key) = *entry;
    }
    free(shard->entries);
    shard->entries = other.entries;
    shard->room = room;
    return true;
}

static bool make_room(struct shard *shard)
{
    if (shard->room == 0)
        return resize(shard, ROOM_LEAST);
    return shard->used < shard->room / 4 * 3 || resize(shard, shard->room * 2);
}

/* What probed past the gap moves into it. */
static void close_gap(struct shard *shard, struct entry *removed)
{
    uint32_t mask = shard->room - 1, gap = (uint32_t)(removed - shard->entries);
    for (uint32_t i = (gap + 1) & mask; shard->entries[i].count > 0; i = (i + 1) & mask) {
        const struct entry *entry = &shard->entries[i];
        uint32_t home = home_of(shard, hash_of(entry->network, entry->family));
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        shard->entries[gap] = *entry;
        gap = i;
    }
    shard->entries[gap] = (struct entry){0};
    shard->used--;
    if (shard->room > ROOM_LEAST && shard->used < shard->room / 8)
        resize(shard, shard->room / 2); /* if it can be had */
}

static enum address_count add(struct shard *shard, uint64_t hash, const struct address_key *key,
                              uint32_t limit)
{
    if (!make_room(shard))
        return ADDRESS_NO_MEMORY;
    struct entry *entry = find(shard, hash, key);
    if (limit > 0 && entry->count >= limit)
        return ADDRESS_AT_LIMIT;
    if (entry->count == 0) {
        entry->network = key->network;
        entry->family = (uint32_t)key->family;
        shard->used++;
    }
    entry->count++;
    return ADDRESS_COUNTED;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static struct shard *lock_shard(struct address_counts *counts, uint64_t hash)
{
    struct shard *shard = &counts->shards[hash & (SHARDS - 1)];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

enum address_count address_counts_add(struct address_counts *counts, const struct address_key *key,
                                      uint32_t limit)
{
    assert(key->family != 0);
    uint64_t hash = hash_of(key->network, key->family);
    struct shard *shard = lock_shard(counts, hash);
    enum address_count answer = add(shard, hash, key, limit);
    pthread_mutex_unlock(&shard->lock);
    return answer;
}

void address_counts_remove(struct address_counts *counts, const struct address_key *key)
{
    uint64_t hash = hash_of(key->network, key->family);
    struct shard *shard = lock_shard(counts, hash);
    assert(shard->used > 0);
    struct entry *entry = find(shard, hash, key);
    assert(entry->count > 0);
    if (--entry->count == 0)
        close_gap(shard, entry);
    pthread_mutex_unlock(&shard->lock);
}

static size_t add_up(struct address_counts *counts, bool is_room)
{
    size_t sum = 0;
    for (uint64_t i = 0; i < SHARDS; i++) {
        struct shard *shard = lock_shard(counts, i);
        sum += is_room ? shard->room : shard->used;
        pthread_mutex_unlock(&shard->lock);
    }
    return sum;
}

size_t address_counts_known(struct address_counts *counts)
{
    return add_up(counts, false);
}

size_t address_counts_room(struct address_counts *counts)
{
    return add_up(counts, true);
}

struct address_counts *address_counts_new(void)
{
    struct address_counts *counts = aligned_alloc(64, sizeof(*counts));
    if (counts == NULL)
        return NULL;
    memset(counts, 0, sizeof(*counts));
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&counts->shards[i].lock, NULL);
    return counts;
}

void address_counts_free(struct address_counts *counts)
{
    if (counts == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        assert(counts->shards[i].used == 0);
        pthread_mutex_destroy(&counts->shards[i].lock);
        free(counts->shards[i].entries);
    }
    free(counts);
}
