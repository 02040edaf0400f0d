/* What is asked of clients in the handshake: by which hosts, and whose certificates do. */
#ifndef TLS_CLIENT_POLICY_H
#define TLS_CLIENT_POLICY_H

#include "tls/client_ca.h"

enum client_auth {
    CLIENT_AUTH_OFF,
    CLIENT_AUTH_REQUEST, /* a certificate may be shown; one that does not verify is refused */
    CLIENT_AUTH_REQUIRE
};
const char *client_auth_name(enum client_auth auth); /* "off", "request", "require" */

/* As the route file says it, with what it inherits. */
struct client_rule {
    enum client_auth auth;
    const char *ca; /* absolute path; NULL: OFF */
};

/* With what the file holds now. */
struct client_policy {
    enum client_auth auth;
    struct client_ca *ca; /* borrowed; NULL: OFF */
};

/* Whether a connection whose handshake asked for certificates of `ca` (NULL: for none), and was
 * shown one or not, will do for a host of the policy. */
bool client_policy_is_met(const struct client_policy *policy, const struct client_ca *ca,
                          bool has_certificate);

/* All policies of one generation. Immutable once in use. */
struct client_policies;

struct client_policies *client_policies_new(void);
void client_policies_free(struct client_policies *policies);

/* Takes the reference. */
void client_policies_add_ca(struct client_policies *policies, const char *path,
                            struct client_ca *ca);
/* NULL: that file is not among them. Borrowed. */
struct client_ca *client_policies_ca(const struct client_policies *policies, const char *path);

/* The rule of a host's key, "*.x.y" among them, or, empty, of all hosts without one. Its file has
 * been added; the rule of one that was not asks for nothing. */
void client_policies_set(struct client_policies *policies, struct slice host_key,
                         const struct client_rule *rule);
/* Whether any host asks for certificates. */
bool client_policies_ask(const struct client_policies *policies);
/* Never NULL. */
const struct client_policy *client_policies_find(const struct client_policies *policies,
                                                 struct slice host_key);
/* Of the content of all files; 0: there are none. */
uint64_t client_policies_fingerprint(const struct client_policies *policies);

#endif
