#include "tls/mac.h"

#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

void mac_make_key(uint8_t key[MAC_KEY_BYTES])
{
    RAND_bytes(key, MAC_KEY_BYTES); /* cannot fail in BoringSSL */
}

/* Begins with the key's block (RFC 2104), each byte of it changed by `pad`. */
static void begin(SHA256_CTX *hash, struct slice key, uint8_t pad)
{
    uint8_t block[SHA256_CBLOCK] = {0};

    if (key.len > sizeof(block))
        SHA256((const uint8_t *)key.at, key.len, block);
    else if (key.len > 0)
        memcpy(block, key.at, key.len);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= pad;
    SHA256_Init(hash);
    SHA256_Update(hash, block, sizeof(block));
}

/* Made of the bare hash: BoringSSL's HMAC allocates, and this is done for each request. */
void mac_sign(struct slice key, const struct slice *parts, unsigned count, uint8_t mac[MAC_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX hash;

    begin(&hash, key, 0x36);
    for (unsigned i = 0; i < count; i++)
        SHA256_Update(&hash, parts[i].at, parts[i].len);
    SHA256_Final(digest, &hash);
    begin(&hash, key, 0x5c);
    SHA256_Update(&hash, digest, sizeof(digest));
    SHA256_Final(digest, &hash);
    memcpy(mac, digest, MAC_BYTES);
    OPENSSL_cleanse(&hash, sizeof(hash));
}

bool mac_same_bytes(struct slice a, struct slice b)
{
    return a.len == b.len && CRYPTO_memcmp(a.at, b.at, a.len) == 0;
}

bool mac_is_good(struct slice key, const struct slice *parts, unsigned count,
                 const uint8_t mac[MAC_BYTES])
{
    uint8_t own[MAC_BYTES];

    mac_sign(key, parts, count, own);
    return CRYPTO_memcmp(own, mac, MAC_BYTES) == 0;
}
