/* Which servers a DNS answer to a question for SRV records names (RFC 2782); no I/O. */
#ifndef NET_SRV_ANSWER_H
#define NET_SRV_ANSWER_H

#include "net/address.h"

enum { SRV_TARGETS_MAX = 64 };

struct srv_target {
    char name[HOST_NAME_SIZE]; /* lower-case, without the dot at its end */
    uint16_t port, priority, weight;
};

struct srv_answer {
    uint32_t ttl_s;                             /* the least of the answer's records */
    unsigned count;                             /* the first SRV_TARGETS_MAX in this order: */
    struct srv_target targets[SRV_TARGETS_MAX]; /* by priority, name, port */
};

/* False when it is no DNS message. Records that cannot be used (a target that is no host name, "."
 * for "no such service", port 0) are left out. */
bool srv_answer_read(const uint8_t *message, size_t length, struct srv_answer *answer);

#endif
