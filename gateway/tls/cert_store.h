/* All certificates of one generation, and the choice among them for a ClientHello. Immutable. */
#ifndef TLS_CERT_STORE_H
#define TLS_CERT_STORE_H

#include "tls/certificate.h"

enum cert_source_kind { CERT_SOURCE_PATH, CERT_SOURCE_PAIR };

/* One element of `certs`: a folder or PEM file, or a pair. Paths are absolute. */
struct cert_source {
    enum cert_source_kind kind;
    char *path;        /* PATH; PAIR: the chain */
    char *key;         /* PAIR */
    unsigned position; /* the caller's: which element of `certs` this came from */
};

/* What was found broken; the rest of the store is usable all the same. */
struct cert_problem {
    char *file; /* or folder */
    char *message;
    unsigned position;
    struct certificate **served; /* quarantined: what was read last and is served on; references */
    size_t served_count;
    bool is_client_ca; /* a file of authorities: what was read last is asked for on */
    int64_t since;     /* seconds since 1970: the load that found it first */
};

struct cert_problems {
    struct cert_problem *list;
    size_t count;
};
void cert_problems_clear(struct cert_problems *problems);

struct cert_store;

/* Of these, in this order; takes a reference to each of its own. */
struct cert_store *cert_store_new(struct certificate *const *list, size_t count);
/* What a new cert_library reads: for those who look once. */
struct cert_store *cert_store_load(const struct cert_source *sources, size_t count,
                                   struct cert_problems *problems);
void cert_store_free(struct cert_store *store); /* drops its references */

size_t cert_store_count(const struct cert_store *store);
const struct certificate *cert_store_at(const struct cert_store *store, size_t index);

/* What a client can use. */
struct cert_wish {
    struct slice name; /* normalised; a host or an IP literal */
    bool has_ecdsa_p256, has_ecdsa_p384, has_ecdsa_p521, has_rsa, has_ed25519;
    int64_t now; /* seconds since 1970 */
};

/* Of a client that can do everything. */
struct cert_wish cert_wish_of_everything(struct slice name, int64_t now);

/* Usable by the client's algorithms, then in date, then exact before wildcard, then any other key
 * before RSA, then newest notBefore, then file name; an expired one only when nothing else matches.
 * NULL when no certificate has the name (*covered false) or none of them is usable (*covered true).
 * Borrowed. */
struct certificate *cert_store_choose(const struct cert_store *store, const struct cert_wish *wish,
                                      bool *covered);
/* Another one that covers the host, or all names below it if it is "*.x", and that ends later: the
 * one that ends last. NULL: there is none. */
const struct certificate *cert_store_successor(const struct cert_store *store, struct slice host,
                                               const struct certificate *certificate);
/* Whether any certificate covers the host. */
bool cert_store_covers(const struct cert_store *store, struct slice host);

#endif
