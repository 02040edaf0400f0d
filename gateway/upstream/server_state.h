/* How one server is, as the whole process knows it: read and written by every worker and the
 * control thread without a lock, and kept across generations for as long as its backend names it.
 */
#ifndef UPSTREAM_SERVER_STATE_H
#define UPSTREAM_SERVER_STATE_H

#include "base/refcount.h"
#include "base/slice.h"

enum check_verdict { CHECK_UNKNOWN, CHECK_UP, CHECK_DOWN };

struct server_state {
    struct refcount references;
    char *name;  /* the address as written; of an SRV record, its target and port */
    uint64_t id; /* hash_fixed of the name: the same in every gateway */

    /* On lines of their own: what workers write for each request stands apart from what they
     * only read. */
    _Alignas(64) _Atomic uint32_t in_flight; /* requests, where somebody wants to know: pool.h */
    _Atomic uint32_t connections;
    _Atomic uint32_t idle; /* of these, where their number is limited */
    /* enum check_verdict; the control thread writes it, but for its being unknown when it comes */
    _Alignas(64) _Atomic uint32_t verdict;
    _Atomic uint32_t failures;         /* of requests, in a row, where somebody ejects by that */
    _Atomic uint64_t ejected_until_ms; /* on the loops' clock; 0: it is not ejected */
    _Atomic uint64_t
        back_ms;        /* when it came, or came back, on that clock; 0: it was always there */
    uint32_t ejections; /* in a row; of backend_state_decide */
};

/* One reference is the caller's. */
struct server_state *server_state_new(struct slice name);
struct server_state *server_state_ref(struct server_state *state);
/* Whether there is another reference than the caller's. */
bool server_state_is_shared(const struct server_state *state);
/* Any thread. */
void server_state_unref(struct server_state *state);

#endif
