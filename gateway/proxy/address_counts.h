/* How many connections each client address has open, in the whole process: a table in shards.
 *
 * It holds addresses with open connections alone, so it is never larger than those, and it shrinks
 * as they go. Any thread. */
#ifndef PROXY_ADDRESS_COUNTS_H
#define PROXY_ADDRESS_COUNTS_H

#include "net/address.h"

struct address_counts;

/* Whom a connection is charged to: an IPv4 address; of an IPv6 address the first 64 bits, for
 * whoever has one has all that begin with them. All zeroes: nobody. */
struct address_key {
    uint64_t network;
    uint64_t family; /* 4, 6; 0: nobody */
};

/* IPv4-mapped IPv6 is IPv4; nobody for Unix sockets, which have no address. */
struct address_key address_key_of(const struct address *address);

struct address_counts *address_counts_new(void);
void address_counts_free(struct address_counts *counts);

enum address_count { ADDRESS_COUNTED, ADDRESS_AT_LIMIT, ADDRESS_NO_MEMORY };

/* One more, unless `limit` (0: none) are there already. The key is somebody's. */
enum address_count address_counts_add(struct address_counts *counts, const struct address_key *key,
                                      uint32_t limit);
/* One less; it was added. */
void address_counts_remove(struct address_counts *counts, const struct address_key *key);

/* For tests: how many addresses are known, and for how many there is room. */
size_t address_counts_known(struct address_counts *counts);
size_t address_counts_room(struct address_counts *counts);

#endif
