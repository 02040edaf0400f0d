/* Public keys that signatures of others are held against, as JOSE has them (RFC 7518, RFC 8037). In
 * tls/ because they are made of BoringSSL. Immutable; any thread may verify with one. */
#ifndef TLS_PUBLIC_KEY_H
#define TLS_PUBLIC_KEY_H

#include "base/slice.h"

enum public_key_kind {
    PUBLIC_KEY_RSA,
    PUBLIC_KEY_P256,
    PUBLIC_KEY_P384,
    PUBLIC_KEY_ED25519,
};

/* Those that are taken. What is signed with a secret that both sides know is none of them, and
 * neither is "none". */
enum signature_scheme {
    SIGNATURE_RS256,
    SIGNATURE_RS384,
    SIGNATURE_RS512,
    SIGNATURE_PS256,
    SIGNATURE_ES256,
    SIGNATURE_ES384,
    SIGNATURE_EDDSA,
    SIGNATURE_SCHEMES
};

enum {
    PUBLIC_KEY_RSA_BITS_LEAST = 2048,
    PUBLIC_KEY_RSA_BITS_MOST = 8192, /* what is longer takes longer than a loop may stand still */
    PUBLIC_KEY_BYTES_MOST = PUBLIC_KEY_RSA_BITS_MOST / 8, /* of a number of it, or a signature */
};

/* "RS256" …; false: none of them. */
bool signature_scheme_from(struct slice name, enum signature_scheme *scheme);
const char *signature_scheme_name(enum signature_scheme scheme);

struct public_key;

/* Big-endian numbers and coordinates as they come. NULL: *why says what is wrong with it. */
struct public_key *public_key_new_rsa(struct slice modulus, struct slice exponent,
                                      const char **why);
struct public_key *public_key_new_ec(enum public_key_kind curve, struct slice x, struct slice y,
                                     const char **why);
struct public_key *public_key_new_ed25519(struct slice x, const char **why);
void public_key_free(struct public_key *key); /* NULL: nothing */

enum public_key_kind public_key_kind(const struct public_key *key);
/* Whether signatures of that scheme are made with keys of that kind. */
bool public_key_fits(const struct public_key *key, enum signature_scheme scheme);
/* Of the message; a signature as JOSE writes it: r and s side by side for ES256 and ES384. False
 * for a scheme that does not fit, too. */
bool public_key_verify(const struct public_key *key, enum signature_scheme scheme,
                       struct slice message, struct slice signature);

#endif
