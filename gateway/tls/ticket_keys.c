#include "tls/ticket_keys.h"

#include "base/check.h"
#include "tls/internal.h"

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    PERIODS = 3, /* that a key opens tickets for; in the first one it seals them, too */
    SLOTS = 8,   /* in the ring: what is not in use is far from those who read */
};

struct ticket_key {
    uint8_t name[SSL_TICKET_KEY_NAME_LEN];
    uint8_t cipher[32]; /* AES-256-CBC */
    uint8_t mac[32];    /* HMAC-SHA-256 */
};

/* Handshakes on all workers read the newest three slots while one thread writes the next one: a
 * reader would have to sleep through five rotations to see a slot change. */
struct ticket_keys {
    struct ticket_key ring[SLOTS];
    atomic_uint newest; /* counts up; its slot is this modulo SLOTS */
    uint64_t period_s;
    uint64_t turned_s; /* when the newest one came; 0: the clock has not been seen yet */
};

static void make_key(struct ticket_key *key)
{
    RAND_bytes((uint8_t *)key, sizeof(*key)); /* cannot fail in BoringSSL */
}

static const struct ticket_key *key_of_age(const struct ticket_keys *keys, unsigned newest,
                                           unsigned age)
{
    return &keys->ring[(newest - age) % SLOTS];
}

struct ticket_keys *ticket_keys_new(uint64_t period_s)
{
    struct ticket_keys *keys = memory_new(sizeof(*keys));

    assert(period_s > 0);
    keys->period_s = period_s;
    /* All slots hold random keys from the start, so that none can be guessed. */
    for (unsigned i = 0; i < SLOTS; i++)
        make_key(&keys->ring[i]);
    return keys;
}

void ticket_keys_free(struct ticket_keys *keys)
{
    if (!keys)
        return;
    OPENSSL_cleanse(keys->ring, sizeof(keys->ring));
    free(keys);
}

void ticket_keys_turn(struct ticket_keys *keys, uint64_t now_s)
{
    /* A clock that was set back must not keep the newest key in use until it has caught up. */
    if (keys->turned_s == 0 || now_s < keys->turned_s) {
        keys->turned_s = now_s;
        return;
    }
    /* After a long sleep every key is out of date, however many periods went by. */
    for (unsigned i = 0; i < PERIODS && now_s >= keys->turned_s + keys->period_s; i++) {
        unsigned next = atomic_load_explicit(&keys->newest, memory_order_relaxed) + 1;

        make_key(&keys->ring[next % SLOTS]);
        atomic_store_explicit(&keys->newest, next, memory_order_release);
        keys->turned_s += keys->period_s;
    }
    if (now_s >= keys->turned_s + keys->period_s)
        keys->turned_s = now_s;
}

uint64_t ticket_keys_life_s(const struct ticket_keys *keys)
{
    return PERIODS * keys->period_s;
}

static int start_sealing(const struct ticket_key *key, uint8_t *name, uint8_t *iv,
                         EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac)
{
    memcpy(name, key->name, sizeof(key->name));
    RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc()));
    if (!EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) ||
        !HMAC_Init_ex(hmac, key->mac, sizeof(key->mac), EVP_sha256(), NULL))
        return -1;
    return 1;
}

int ticket_keys_apply(const struct ticket_keys *keys, uint8_t *name, uint8_t *iv,
                      EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, bool seal)
{
    unsigned newest = atomic_load_explicit(&keys->newest, memory_order_acquire);

    if (seal)
        return start_sealing(key_of_age(keys, newest, 0), name, iv, cipher, hmac);
    for (unsigned age = 0; age < PERIODS; age++) {
        const struct ticket_key *key = key_of_age(keys, newest, age);

        if (memcmp(name, key->name, sizeof(key->name)) != 0)
            continue;
        if (!HMAC_Init_ex(hmac, key->mac, sizeof(key->mac), EVP_sha256(), NULL) ||
            !EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv))
            return -1;
        return age == 0 ? 1 : 2;
    }
    return 0;
}
