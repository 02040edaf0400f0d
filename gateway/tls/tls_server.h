/* TLS termination of one generation: settings, certificates, what a handshake needs. Immutable. */
#ifndef TLS_TLS_SERVER_H
#define TLS_TLS_SERVER_H

#include "base/error.h"
#include "tls/cert_store.h"
#include "tls/client_policy.h"
#include "tls/ticket_keys.h"

enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_settings {
    enum tls_version min_version;
    bool tickets;
    bool reject_unknown_sni;  /* else default_name answers */
    const char *default_name; /* NULL: none */
    const char *const *alpn;  /* in order of preference; spoken ones only: "h2", "http/1.1" */
    size_t alpn_count;
};

struct tls_server;

/* Mozilla Intermediate on top of `settings` (copied). Takes `store`, also on failure; borrows
 * `keys`, which outlive it. */
struct tls_server *tls_server_new(const struct tls_settings *settings, struct cert_store *store,
                                  struct ticket_keys *keys, struct error *error);
/* Which key of the route file's hosts a name leads to: "*.x.y" for one below it; empty: none. The
 * name is normalised, and empty where a client sends none. */
typedef struct slice tls_find_host(const void *hosts, struct slice name);

/* Once, before anybody uses the server. Takes `policies`; `hosts` outlive the server. Without it no
 * client is asked for a certificate. */
void tls_server_set_clients(struct tls_server *server, struct client_policies *policies,
                            tls_find_host *find, const void *hosts);
/* NULL: there are none. */
const struct client_policies *tls_server_clients(const struct tls_server *server);
/* What a client that asks for `sni` (as in tls_server_answer) is asked for; of a host's key in the
 * route file. Borrowed. */
const struct client_policy *tls_server_policy_of_sni(const struct tls_server *server,
                                                     struct slice sni);
const struct client_policy *tls_server_policy_of_host(const struct tls_server *server,
                                                      struct slice host_key);

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
