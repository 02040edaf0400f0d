/* What `auth.client_cert` needs of a host. */
#ifndef CONFIG_CERT_AUTH_H
#define CONFIG_CERT_AUTH_H

#include "config/reader.h"
#include "routing/host.h"

/* A problem at the host's entry where a route of it, once all places are merged, lets in clients
 * by a certificate that nobody asks them for. `inherited` is the rule of hosts without their own.
 */
void cert_auth_check_host(struct reader *reader, const struct json_node *node,
                          const struct host *host, const struct client_rule *inherited);

#endif
