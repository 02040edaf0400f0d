/* One certificate with its chain and key, ready to serve; parsed once in the process. */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

struct certificate; /* immutable; shared by reference */

enum cert_key {
    CERT_KEY_ECDSA_P256,
    CERT_KEY_ECDSA_P384,
    CERT_KEY_ECDSA_P521,
    CERT_KEY_RSA,
    CERT_KEY_ED25519
};

/* Reads PEM: chain (leaf first) and key, which may be the same file; checks that they belong
 * together. `ocsp_path` may be NULL or name a file that does not exist. Error: the file, what is
 * wrong with it, and what to do. The caller owns one reference. */
struct certificate *certificate_load(const char *chain_path, const char *key_path,
                                     const char *ocsp_path, struct error *error);
struct certificate *certificate_ref(struct certificate *certificate);
void certificate_unref(struct certificate *certificate);

/* Of the bytes of chain, key and OCSP response: equal for what was loaded from the same content. */
uint64_t certificate_fingerprint(const struct certificate *certificate);

/* The chain's file, as found: how logs and `certs` name it. */
const char *certificate_file(const struct certificate *certificate);
enum cert_key certificate_key(const struct certificate *certificate);
const char *cert_key_name(enum cert_key key);                          /* "ECDSA P-256" … */
int64_t certificate_not_before(const struct certificate *certificate); /* seconds since 1970 */
int64_t certificate_not_after(const struct certificate *certificate);
/* Whether an OCSP response goes with it, and until when (seconds since 1970; INT64_MAX: the
 * response does not say). */
bool certificate_staples(const struct certificate *certificate, int64_t *expires);

/* What an authority and other tools know the leaf by, in lower-case hex. */
enum { CERT_SERIAL_MAX = 40 }; /* bytes; RFC 5280 allows 20 */
struct cert_identity {
    char serial[2 * CERT_SERIAL_MAX + 1], sha256[65];
};
/* Looks at the certificate's bytes anew: not for every request. */
void certificate_identify(const struct certificate *certificate, struct cert_identity *identity);

/* DNS SANs lower-case (as "*.x.com" too) and IP SANs in text form. */
int certificate_names(const struct certificate *certificate, const struct slice **names);

/* How a certificate came to be the one. */
enum cert_match {
    CERT_MATCH_NONE,
    CERT_MATCH_EXACT,
    CERT_MATCH_WILDCARD,
    CERT_MATCH_DEFAULT /* the default certificate, for want of a match or of a name */
};

/* How a SAN covers the host (normalised as http/target.h does), an exact one before a wildcard, and
 * which one it is (borrowed; `san` may be NULL): "*." stands for one label, an IP literal matches
 * IP SANs alone. */
enum cert_match certificate_match(const struct certificate *certificate, struct slice host,
                                  struct slice *san);
bool certificate_covers(const struct certificate *certificate, struct slice host);

#endif
