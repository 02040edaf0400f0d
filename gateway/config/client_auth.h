/* `tls.client_ca` and `tls.client_auth`, of the whole file and of single hosts. */
#ifndef CONFIG_CLIENT_AUTH_H
#define CONFIG_CLIENT_AUTH_H

#include "config/load.h"

/* As one `tls` object says them. */
struct client_auth_reader {
    const struct json_node *ca_node, *auth_node; /* NULL: not written */
    const char *ca;
    enum client_auth auth;
};

/* Rules of a `tls` object, the top's or a host's; both read into this one, embedded. */
void client_auth_read_ca(struct reader *reader, const struct json_node *node,
                         struct client_auth_reader *into);
/* `at_top`: there is nothing that "off" could turn off. */
void client_auth_read_auth(struct reader *reader, const struct json_node *node, bool at_top,
                           struct client_auth_reader *into);

/* What the top's `tls` came to; before any host is read. */
void client_auth_end_top(struct load *load, const struct client_auth_reader *read);
/* What a host's `tls` came to, on top of the former: sets the rule of the host being read. */
void client_auth_end_host(struct load *load, const struct client_auth_reader *read);

/* Has the file of the host's rule loaded and watched; `node` is the host's entry. */
void client_auth_note(struct load *load, const struct json_node *node, const struct host *host);

/* Of what hosts inherit. */
uint64_t client_auth_context(const struct json_node *tls);

#endif
