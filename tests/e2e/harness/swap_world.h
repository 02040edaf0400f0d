/* Sites whose certificates and routes are changed in every way that operators change them, and what
 * whoever looks may then see of them. */
#ifndef E2E_SWAP_WORLD_H
#define E2E_SWAP_WORLD_H

#include "load.h"

/* One host each. The guest shares the certificate of the steady one; the last comes and goes. */
enum { RENAMED, KUBE, IN_PLACE, BROKEN, STEADY, GUEST, COMES, SITES };
#define SWAP_ORIGINS 4

struct swap_options {
    const char *watch; /* the route file's value of that key; NULL: the key is left out */
    int swaps;         /* at most */
};

struct swap_world {
    struct swap_options options;
    struct origin *origins[SWAP_ORIGINS];
    struct load_host hosts[SITES];       /* who answers: the origins' places */
    struct history *certificates[SITES]; /* the values are numbers of certificates; GUEST: NULL */
    struct cert **certs;                 /* by number */
    int cert_count, cert_room;
    int moves, settings, flips;
    bool has_broken_cert, has_broken_routes; /* on disk, now */
};

/* Starts the origins and writes certificates and TMP/routes.json. Lives until the test ends. */
struct swap_world *swap_world_new(const struct swap_options *options);

enum swap_outcome {
    SWAP_TAKEN,       /* must become a new generation */
    SWAP_QUARANTINED, /* must be accepted, and a certificate be said to be broken */
    SWAP_REFUSED      /* must be refused, and everything go on */
};

/* Makes the n-th change, from 0; kinds take turns. What is new may be seen from here on. */
enum swap_outcome swap_make(struct swap_world *world, int n);
/* The last change is in force: nothing older may be seen. */
void swap_settle(struct swap_world *world);
/* Writes the route file as it should be, after one that is refused. */
void swap_mend_routes(struct swap_world *world);

/* The number of the certificate that a handshake for the name presents, HISTORY_ABSENT for the
 * alert that it is unknown, SWAP_FAILED for anything else. The client is the caller's; it may be
 * NULL. */
#define SWAP_FAILED (-2)
int swap_shake_hands(struct swap_world *world, struct gateway *gateway, const char *sni,
                     struct client **client);

#endif
