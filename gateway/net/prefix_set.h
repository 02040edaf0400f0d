/* Many networks, and the longest of them that an address lies in: a tree that goes a byte of the
 * address at a time, at most 4 of its nodes for IPv4 and 16 for IPv6, however many networks there
 * are. What all below a node have in common is skipped, so it is as small as what it holds.
 * Immutable. */
#ifndef NET_PREFIX_SET_H
#define NET_PREFIX_SET_H

#include "net/network.h"

struct prefix_node;

/* IPv4, IPv4-mapped addresses too, or the rest. */
struct prefix_tree {
    struct prefix_node *nodes; /* the root first; NULL: none is longer than nothing */
    uint8_t *lengths;          /* of all nodes */
    unsigned node_count, length_count;
    bool has_all; /* the network of no bits */
};

struct prefix_set {
    struct prefix_tree v4, v6;
};

/* Sorts the list; what is there twice counts once. */
void prefix_set_init(struct prefix_set *set, struct network *networks, size_t count);
void prefix_set_clear(struct prefix_set *set);

/* The bits of the longest network with that address in it (of IPv4 from 0 to 32); -1: none, as for
 * what is no IP address. */
int prefix_set_find(const struct prefix_set *set, const struct address *address);

/* What it occupies beside itself. */
size_t prefix_set_bytes(const struct prefix_set *set);

/* For sorting: by address, then the shorter one. */
int network_compare(const void *a, const void *b);

#endif
