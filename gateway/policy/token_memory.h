/* Tokens that were good a moment ago, so that a signature is not verified for each request: one
 * memory a worker, bounded, the oldest going first. It knows tokens by a MAC under a key of its own
 * and nothing else of them but the claims that backends are told of. */
#ifndef POLICY_TOKEN_MEMORY_H
#define POLICY_TOKEN_MEMORY_H

#include "base/arena.h"
#include "tls/mac.h"

enum {
    TOKEN_MEMORY_MOST = 1024,       /* tokens */
    TOKEN_MEMORY_VALUES_MOST = 512, /* bytes of one's claims; with more it is not remembered */
};

struct token_memory;

struct token_memory *token_memory_new(void);
void token_memory_free(struct token_memory *memory); /* NULL: nothing */

/* A token as it was judged: under these rules and by these keys, each told by its fingerprint. */
struct token_name {
    uint8_t mac[MAC_BYTES];
};
struct token_name token_memory_name(const struct token_memory *memory, uint64_t rules,
                                    uint64_t keys, struct slice token);

/* False: it was not met, or is out of date by now. *values: as many as were kept, in the arena. */
bool token_memory_find(struct token_memory *memory, const struct token_name *name, uint64_t now_s,
                       struct arena *arena, struct slice *values);
/* Good until then. */
void token_memory_keep(struct token_memory *memory, const struct token_name *name, uint64_t until_s,
                       const struct slice *values, unsigned count);

#endif
