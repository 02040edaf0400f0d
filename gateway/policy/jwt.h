/* JSON Web Tokens (RFC 7519) in the compact form of JWS (RFC 7515), read strictly (RFC 8725): what
 * a token says of itself chooses among the keys there are, never how it is checked. */
#ifndef POLICY_JWT_H
#define POLICY_JWT_H

#include "http/message.h"
#include "policy/jwk_set.h"

enum {
    JWT_BYTES_MOST = 8 * 1024,
    JWT_HEADER_BYTES_MOST = 2 * 1024, /* is read before anything of it is known to be true */
    JWT_TRIES_MOST = 8,               /* keys that one token is held against */
};

/* Why a token is refused. The client is not told; the operator is, at the level `debug`. */
enum jwt_fault {
    JWT_GOOD,
    JWT_TOO_LONG,
    JWT_MALFORMED, /* not three parts of base64url, or no JSON where some belongs */
    JWT_BAD_HEADER,
    JWT_UNKNOWN_SCHEME, /* "alg": "none" and what is signed with a shared secret, too */
    JWT_UNKNOWN_KEY,    /* no key has its kid: newer ones may */
    JWT_NO_FITTING_KEY,
    JWT_BAD_SIGNATURE,
    JWT_BAD_CLAIMS,
    JWT_EXPIRED,
    JWT_NOT_YET_VALID,
    JWT_WRONG_ISSUER,
    JWT_WRONG_AUDIENCE,
    JWT_UNFIT_CLAIM, /* what is to be copied is no value of a field */
    JWT_FAULTS
};
/* "it is out of date" … */
const char *jwt_fault_text(enum jwt_fault fault);

/* A token that was taken apart; nothing in it is known to be true. In the arena, or borrowed. */
struct jwt {
    enum signature_scheme scheme;
    struct slice kid; /* at is NULL: it names none */
    struct slice signed_text;
    struct slice claims; /* JSON, if it is well made */
    struct slice signature;
};

enum jwt_fault jwt_read(struct slice token, struct arena *arena, struct jwt *jwt);

/* Whether one of these has signed it. JWT_UNKNOWN_KEY, JWT_NO_FITTING_KEY, JWT_BAD_SIGNATURE. */
enum jwt_fault jwt_verify(const struct jwt *jwt, const struct jwk_set *keys);

/* A claim that a backend is told of. */
struct jwt_copy {
    struct slice claim;
    struct slice field;
};

/* What a token has to say to be taken, and what is taken from it. */
struct jwt_rules {
    struct slice issuer; /* empty: any */
    const struct slice *audiences;
    unsigned audience_count; /* 0: any */
    uint64_t leeway_s;
    const struct jwt_copy *copies;
    unsigned copy_count;
};

/* Of a token that was verified: holds its claims against the rules, at that time. *values, as many
 * as there are copies, are in the arena; empty: there is no such claim, or it is no text, number,
 * or bool. *until_s: from then on it is out of date. */
enum jwt_fault jwt_judge(const struct jwt *jwt, const struct jwt_rules *rules, uint64_t now_s,
                         struct arena *arena, struct slice *values, uint64_t *until_s);

/* --- where a request has it ----------------------------------------------------------------- */

enum bearer {
    BEARER_NONE,
    BEARER_FOUND,
    BEARER_BAD, /* more than one, or nothing behind the scheme */
};

/* Of the one field Authorization, if its scheme is Bearer (RFC 6750 section 2.1); else of the
 * cookie of that name, if there is one (empty: none is looked for). */
enum bearer bearer_find(const struct http_fields *request, struct slice cookie,
                        struct slice *token);

#endif
