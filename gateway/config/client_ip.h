/* Whom trusted_proxies trusts, and which address a request comes from because of that. */
#ifndef CONFIG_CLIENT_IP_H
#define CONFIG_CLIENT_IP_H

#include "config/snapshot.h"

bool client_ip_is_trusted(const struct globals *globals, const struct address *address);

/* Of a request that a trusted peer passes on: walks X-Forwarded-For from the right past trusted
 * addresses. What cannot be read ends the walk: the last address that was understood is the client.
 * Borrowed, or in the arena. */
struct slice client_ip_find(const struct globals *globals, struct slice peer_ip,
                            struct arena *arena, const struct http_fields *fields);

#endif
