/* The listening addresses that are open: opened for a generation, kept across generations.
 *
 * A plan says what the next generation listens on; committing it makes that so. What stays the same
 * (kind and address as written) is never closed; `:0` keeps the port that it got. An address that
 * was handed over is listened on there, and nothing is bound. */
#ifndef CONTROL_LISTENERS_H
#define CONTROL_LISTENERS_H

#include "base/error.h"
#include "config/snapshot.h"
#include "control/inherited.h"
#include "worker/worker.h"

/* One address that is listened on. */
struct open_listen {
    unsigned id; /* from 1; never used twice */
    enum listen_kind kind;
    char *text;                     /* as written */
    int place;                      /* which of the text's addresses */
    struct address address;         /* with its real port */
    const struct listen_spec *spec; /* of the newest plan */
    int *fds;                       /* sockets not yet handed over, one per worker; status: one */
    unsigned fd_count;
    bool is_planned;
    uint64_t device, inode; /* of a Unix socket: removed with the listener if it is still ours */
    struct inherited_socket *inherited; /* accepted from; NULL: bound here */
};

struct listeners;
struct listen_plan;

/* Borrows `inherited`, which may be NULL. */
struct listeners *listeners_new(unsigned workers, struct inherited *inherited);
/* Sockets that were handed over belong to whoever has them; Unix sockets' files are removed. */
void listeners_free(struct listeners *listeners);

/* Opens what is new in `snapshot` (https, http, status; admin is the endpoints' business). NULL,
 * with everything opened on the way closed again, when an address cannot be had. One plan at a
 * time. */
struct listen_plan *listeners_plan(struct listeners *listeners, const struct snapshot *snapshot,
                                   struct error *error);
/* How many of the plan's addresses are for workers. */
unsigned listen_plan_count(const struct listen_plan *plan);
/* Fills that many for one worker, which takes the sockets of what is new. Once per worker. */
void listen_plan_hand_over(struct listen_plan *plan, unsigned worker, struct worker_listen *into);
/* Makes the plan what there is, and frees it. */
void listeners_commit(struct listeners *listeners, struct listen_plan *plan);
/* Closes what the plan opened, and frees it. Before anything was handed over. */
void listeners_abandon(struct listeners *listeners, struct listen_plan *plan);

/* What is open, in the order of the route file. */
unsigned listeners_count(const struct listeners *listeners);
struct open_listen *listeners_at(const struct listeners *listeners, unsigned index);

/* The addresses of one kind as a JSON list of strings, with real ports; the two families of one
 * `:443` are one element. */
void listeners_print_json(const struct listeners *listeners, enum listen_kind kind,
                          struct buffer *out);

#endif
