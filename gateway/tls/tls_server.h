/* TLS termination of one generation: settings, certificates, what a handshake needs. Immutable. */
#ifndef TLS_TLS_SERVER_H
#define TLS_TLS_SERVER_H

#include "base/error.h"
#include "tls/cert_store.h"
#include "tls/ticket_keys.h"

enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_settings {
    enum tls_version min_version;
    bool tickets;
    bool reject_unknown_sni;  /* else default_name answers */
    const char *default_name; /* NULL: none */
    const char *const *alpn;  /* in order of preference; spoken ones only: "http/1.1" */
    size_t alpn_count;
};

struct tls_server;

/* Mozilla Intermediate on top of `settings` (copied). Takes `store`, also on failure; borrows
 * `keys`, which outlive it. */
struct tls_server *tls_server_new(const struct tls_settings *settings, struct cert_store *store,
                                  struct ticket_keys *keys, struct error *error);
/* Connections made from it live on; handshakes still in progress must have ended. */
void tls_server_free(struct tls_server *server);

const struct cert_store *tls_server_certs(const struct tls_server *server);

/* Why a ClientHello gets no certificate. */
enum tls_refusal {
    TLS_REFUSAL_NONE,
    TLS_REFUSAL_NO_NAME,      /* it names none, and there is no default certificate */
    TLS_REFUSAL_INVALID_NAME, /* what it names is no host name */
    TLS_REFUSAL_UNKNOWN_NAME, /* no certificate covers the name */
    TLS_REFUSAL_NOT_USABLE    /* those that cover it need what the client cannot do */
};

struct tls_answer {
    struct certificate *certificate; /* borrowed; NULL: refused */
    enum cert_match match;
    struct slice
        san; /* the certificate's name that covers the client's (or the default); borrowed */
    enum tls_refusal refusal;
    const char *alert; /* "unrecognized_name", "handshake_failure"; NULL: not refused */
};

/* What the ClientHello callback answers to a client that asks for `sni` as it stands there (empty:
 * it sends none) and can use what `client` says (its name is not looked at; NULL: everything, at
 * this moment). */
struct tls_answer tls_server_answer(const struct tls_server *server, struct slice sni,
                                    const struct cert_wish *client);

/* The certificate out of that answer for a client that can do everything. NULL: *alert is the TLS
 * alert it would get; `alert` may be NULL. */
struct certificate *tls_server_choose(const struct tls_server *server, struct slice name,
                                      const char **alert);

/* "BoringSSL" and what is known of its version. */
const char *tls_library_version(void);

#endif
