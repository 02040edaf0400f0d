/* Passwords that were verified a moment ago, so that a slow hash is not paid for each request: the
 * process's.
 *
 * What is kept of each is a signature, under a key that nobody knows, of the name, the password and
 * the hash that it was good for: neither gives away the password, and a users file with another
 * hash forgets it at once. Only good ones are kept, so that nobody fills it with guesses. */
#ifndef POLICY_PASSWORD_MEMORY_H
#define POLICY_PASSWORD_MEMORY_H

#include "tls/mac.h"

enum {
    PASSWORD_KEPT_MS = 60 * 1000,
    PASSWORDS_KEPT_MOST = 8192, /* 192 KiB */
};

/* What a client says, and what it has to fit. */
struct password_claim {
    struct slice name, password;
    const char *hash;
};

struct password_memory;

struct password_memory *password_memory_new(void);
void password_memory_free(struct password_memory *memory);

/* Any thread, all of them. */
void password_memory_sign(const struct password_memory *memory, const struct password_claim *claim,
                          uint8_t signature[MAC_BYTES]);
bool password_memory_has(struct password_memory *memory, const uint8_t signature[MAC_BYTES],
                         uint64_t now_ms);
/* Where there is no room the one goes that would go first by itself. */
void password_memory_add(struct password_memory *memory, const uint8_t signature[MAC_BYTES],
                         uint64_t now_ms);

#endif
