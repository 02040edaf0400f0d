/* Names to addresses, and services to their servers, on one loop: the hosts file and DNS (c-ares).
 *
 * Questions wait for their turn: 10,000 names are no burst. Where the servers to ask change while
 * questions are out, those are asked again. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "net/address.h"
#include "net/loop.h"
#include "net/srv_answer.h"

enum {
    RESOLVER_ADDRESSES_MAX = 64, /* of a name; what is beyond is left out */
    /* Look-ups that are out at once, each with two questions; the others wait. Their answers fit
     * into the buffer that a socket has by default, however late they are read. */
    RESOLVER_OUT_MAX = 64,
    RESOLVER_TIMEOUT_MS = 2000, /* of a try; each server has two, the second has twice that */
};

struct resolver; /* one a loop */
struct lookup;   /* one name that is looked up */

/* All zeroes: as the system has it. */
struct resolver_options {
    const char *resolv_conf; /* NULL: /etc/resolv.conf; borrowed for as long as it lives */
    uint16_t port;           /* of the servers named there; 0: 53 */
    unsigned timeout_ms;     /* 0: RESOLVER_TIMEOUT_MS */
};

/* NULL for `options`: as the system has it. */
struct resolver *resolver_new(struct loop *loop, const struct resolver_options *options);
/* After every look-up has been ended, and before its loop. NULL is allowed. */
void resolver_free(struct resolver *resolver);

/* From now on these are asked, in this order, and questions that are out are asked again; 0: those
 * of resolv.conf, which are followed when that file changes. Nothing happens when they are what is
 * asked already. The list is copied. */
void resolver_set_servers(struct resolver *resolver, const struct address *servers, size_t count);

enum lookup_outcome {
    LOOKUP_FOUND,
    LOOKUP_ABSENT, /* a server says: no such name, or none with such a record */
    LOOKUP_FAILED, /* nobody could say: no answer in time, servers that fail */
};

/* What a TTL is where nothing ages: a literal address, the hosts file. */
#define LOOKUP_TTL_NONE UINT32_MAX

struct lookup_answer {
    enum lookup_outcome outcome;
    const char *reason; /* why there is nothing: "the name does not exist"; NULL: FOUND */
    uint32_t ttl_s;     /* FOUND: the least of the answer's records, 0 among them */
    /* FOUND, one of them: in the order to try; in that of srv_answer.h. The look-up's. */
    const struct address *addresses;
    const struct srv_target *targets;
    unsigned count;
};

/* Starts a look-up of both families; `task` is woken when there is an answer, never before the
 * loop has run. A name that ends in a dot is complete (what SRV records name is); others are looked
 * up with the search list of resolv.conf. */
struct lookup *lookup_start(struct resolver *resolver, const char *name, uint16_t port,
                            struct task *task);
/* The same for the SRV records of a service: "_http._tcp.api.internal". */
struct lookup *lookup_start_srv(struct resolver *resolver, const char *name, struct task *task);
/* IO_WAIT, or IO_OK with the answer, which is the look-up's. */
enum io lookup_answer(const struct lookup *lookup, struct lookup_answer *answer);
/* Takes it, answered or not. */
void lookup_end(struct lookup *lookup);

#endif
