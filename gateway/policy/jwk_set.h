/* The keys that tokens are held against: a JWK Set (RFC 7517), the public halves of key pairs, each
 * with what it says of itself. A content of policy/source.h: immutable and counted. */
#ifndef POLICY_JWK_SET_H
#define POLICY_JWK_SET_H

#include "base/arena.h"
#include "policy/source.h"
#include "tls/public_key.h"

enum {
    JWK_SET_BYTES_MOST = 1024 * 1024, /* of a file, or an answer */
    JWK_SET_KEYS_MOST = 256,
};

struct jwk {
    struct public_key *key;
    struct slice kid; /* at is NULL: it has none */
    bool has_scheme;  /* it is for signatures of that one alone: "alg" */
    enum signature_scheme scheme;
};

struct jwk_set {
    struct source_content content;
    struct arena arena;
    struct jwk *keys;
    unsigned count;
};

/* A source_parse: a key that is broken, unknown, private or symmetric is a complaint and left out;
 * what is for encryption is left out quietly. */
struct source_content *jwk_set_parse(struct slice bytes, struct arena *arena,
                                     struct source_complaint **complaints);

#endif
