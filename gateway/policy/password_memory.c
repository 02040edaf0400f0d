#include "policy/password_memory.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

enum { WAYS = 8, SETS = PASSWORDS_KEPT_MOST / WAYS };

struct kept {
    uint8_t signature[MAC_BYTES];
    uint64_t until_ms; /* 0: free */
};

struct password_memory {
    uint8_t key[MAC_KEY_BYTES];
    pthread_mutex_t lock;
    struct kept sets[SETS][WAYS]; /* by bits of the signature */
};

static struct slice bytes_of(const uint8_t *bytes, size_t count)
{
    return slice_make((const char *)bytes, count);
}

struct password_memory *password_memory_new(void)
{
    struct password_memory *memory = memory_new(sizeof(*memory));

    mac_make_key(memory->key);
    pthread_mutex_init(&memory->lock, NULL);
    return memory;
}

void password_memory_free(struct password_memory *memory)
{
    if (memory == NULL)
        return;
    pthread_mutex_destroy(&memory->lock);
    explicit_bzero(memory->key, sizeof(memory->key));
    free(memory);
}

/* Neither a name nor a hash has a colon in it: where each ends is plain. */
void password_memory_sign(const struct password_memory *memory, const struct password_claim *claim,
                          uint8_t signature[MAC_BYTES])
{
    const struct slice parts[] = {claim->name, slice_of(":"), slice_of(claim->hash), slice_of(":"),
                                  claim->password};

    mac_sign(bytes_of(memory->key, MAC_KEY_BYTES), parts, sizeof(parts) / sizeof(parts[0]),
             signature);
}

static struct kept *set_of(struct password_memory *memory, const uint8_t *signature)
{
    return memory->sets[(signature[0] | signature[1] << 8) % SETS];
}

static bool is_it(const struct kept *kept, const uint8_t *signature)
{
    return mac_same_bytes(bytes_of(kept->signature, MAC_BYTES), bytes_of(signature, MAC_BYTES));
}

bool password_memory_has(struct password_memory *memory, const uint8_t signature[MAC_BYTES],
                         uint64_t now_ms)
{
    const struct kept *set = set_of(memory, signature);
    bool is_there = false;

    pthread_mutex_lock(&memory->lock);
    for (int i = 0; i < WAYS; i++)
        is_there |= set[i].until_ms > now_ms && is_it(&set[i], signature);
    pthread_mutex_unlock(&memory->lock);
    return is_there;
}

void password_memory_add(struct password_memory *memory, const uint8_t signature[MAC_BYTES],
                         uint64_t now_ms)
{
    struct kept *set = set_of(memory, signature), *place = set;

    pthread_mutex_lock(&memory->lock);
    for (int i = 0; i < WAYS; i++) {
        if (set[i].until_ms > 0 && is_it(&set[i], signature)) {
            place = &set[i];
            break;
        }
        if (set[i].until_ms < place->until_ms)
            place = &set[i];
    }
    memcpy(place->signature, signature, MAC_BYTES);
    place->until_ms = now_ms + PASSWORD_KEPT_MS;
    pthread_mutex_unlock(&memory->lock);
}
