/* What the files of tls/ share with each other alone: BoringSSL's types stop here. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include "net/jobs.h"
#include "tls/cert_files.h"
#include "tls/client_check.h"
#include "tls/signature.h"
#include "tls/tls_server.h"
#include "tls/tls_stream.h"

#include <openssl/ssl.h>

enum tls_verdict {
    TLS_VERDICT_NONE,         /* no ClientHello yet */
    TLS_VERDICT_SERVE,        /* `certificate` is the one */
    TLS_VERDICT_UNKNOWN_NAME, /* the servername callback refuses it */
    TLS_VERDICT_NOT_USABLE    /* the name's certificates need what the client cannot do */
};

/* Who works for a connection, and whom to wake. */
struct tls_waiter {
    const struct tls_jobs *jobs;
    struct loop *loop;
    const struct stream *stream; /* its task is woken */
};

/* What only a handshake needs: the tls_stream frees it when that has ended. */
struct tls_handshake {
    struct tls_server *server; /* borrowed */
    struct tls_waiter waiter;
    bool was_heard; /* a byte came from the peer */
    enum tls_verdict verdict;
    enum client_auth auth;       /* what was asked of the client */
    long check_result;           /* X509_V_ERR_…, once it was settled */
    struct client_check *check;  /* of what it showed; NULL: nothing, or it has been settled */
    struct signature *signature; /* being made off the loop; NULL: none is */
};

/* What one handshake found out about its client; embedded in the tls_stream. */
struct tls_choice {
    struct tls_handshake *handshake;  /* NULL once it has ended */
    struct certificate *certificate;  /* one reference, or NULL */
    char *sni;                        /* owned, normalised; NULL: none, or not a valid name */
    struct client_ca *ca;             /* one reference; NULL: nothing was asked */
    struct client_identity *identity; /* owned; NULL: no certificate */
    bool got_default;
};

/* The choice of the connection that tls_stream.c calls BoringSSL for: in callbacks of its
 * handshake. */
struct tls_choice *tls_choice_of(const SSL *ssl);

/* In the ClientHello callback, behind the choice of the certificate: has the handshake ask for what
 * the policy wants, and binds its tickets to that. False: no memory. */
bool client_handshake_ask(SSL *ssl, const struct client_policy *policy);
/* Once the handshake is done: who the client is, also of a session that was resumed. False: it must
 * not be served. */
bool client_handshake_finish(SSL *ssl);

X509_STORE *client_ca_store(const struct client_ca *ca);
struct slice client_ca_hash(const struct client_ca *ca);
/* Has the server say whose certificates it takes, unless that is too much to be said. */
bool client_ca_announce(const struct client_ca *ca, SSL *ssl);

/* Another list with a reference to each. NULL: no memory. */
STACK_OF(CRYPTO_BUFFER) * tls_share_buffers(const STACK_OF(CRYPTO_BUFFER) * list);

/* A context with what every handshake here has in common: BoringSSL reads ciphers, signature
 * algorithms and the ALPN callback from a certificate's context, the rest from the server's. NULL
 * when there is no memory. */
SSL_CTX *tls_context_new(void);
/* "TLSv1.2: ...": the reason of the oldest error in BoringSSL's queue, which is emptied. Static. */
const char *tls_library_error(void);

/* certificate_load of bytes that were read already; the paths are for messages. */
struct certificate *certificate_parse(const struct cert_paths *paths,
                                      const struct cert_bytes *bytes, struct error *error);
SSL_CTX *certificate_context(const struct certificate *certificate);
/* Borrowed. NULL: its context signs, which does not take long. */
EVP_PKEY *certificate_slow_key(const struct certificate *certificate);
/* The same key for the loops alone, of one that is slow; borrowed. BoringSSL locks an RSA key for
 * moments of each signature, and a helper may be stopped in one. Any thread. */
EVP_PKEY *certificate_own_key(struct certificate *certificate);

SSL_CTX *tls_server_context(const struct tls_server *server);
struct slice tls_server_alpn(const struct tls_server *server); /* in the wire's form */

/* As BoringSSL's ticket key callback: 1, 0 (unknown key), 2 (opened by an older key: renew), -1. */
int ticket_keys_apply(const struct ticket_keys *keys, uint8_t *name, uint8_t *iv,
                      EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, bool seal);
/* How long a key opens tickets. */
uint64_t ticket_keys_life_s(const struct ticket_keys *keys);

/* Lower-case without a trailing dot into `name`; empty for what is no host name. */
enum { TLS_NAME_MAX = 253 };
struct slice tls_normalise_name(struct slice text, char name[TLS_NAME_MAX]);

#endif
