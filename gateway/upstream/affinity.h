/* What of a request tells its client from others, as a number that all gateways agree on: what
 * `hash_on` and `split_on` go by. */
#ifndef UPSTREAM_AFFINITY_H
#define UPSTREAM_AFFINITY_H

#include "http/message.h"
#include "upstream/upstream.h"

/* Of the client's address where that is what it goes by, or where the request lacks what it does:
 * without the header or cookie, or with nothing in it. */
uint64_t affinity_key(const struct affinity *affinity, const struct http_head *request,
                      struct slice client_ip);

/* Two numbers as one; their order matters. */
uint64_t affinity_join(uint64_t first, uint64_t second);

#endif
