/* How much of its limit each client has used, for the whole process: a table of one size.
 *
 * Each limit is held by GCRA: a client's debt grows by one interval with each request and runs off
 * with time; a request that would take it beyond the window is over the limit. So in any time t no
 * more than burst + t / interval requests pass, exactly, whatever workers they come to.
 *
 * A key has one line of entries where it may be. One whose debt has run off is free. In a line that
 * is full the one that has used the least of its limit goes: those that are at theirs stay, however
 * many new keys come. Any thread. */
#ifndef POLICY_RATE_TABLE_H
#define POLICY_RATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_table;

/* NULL: no memory. Memory that no key has come to is not touched. */
struct rate_table *rate_table_new(void);
void rate_table_free(struct rate_table *table);

struct rate {
    uint64_t interval_ns; /* of one request; above 0 */
    uint64_t window_ns;   /* of as many as may come at once */
};

/* One limit that a request is held against. */
struct rate_charge {
    uint64_t key; /* a hash that clients cannot foresee */
    struct rate rate;
    bool is_enforced;

    /* The answer. */
    bool is_over;
    uint64_t debt_ns; /* after this request where it was charged, else as it is */
};

enum { RATE_CHARGES_MOST = 16 }; /* of one request */

/* Holds a request against all of them and charges it to those that it is within, unless one that is
 * enforced refuses it: then it is charged to none. At once for all: nobody sees a part of it.
 * False: refused. A limit that has another rate than before goes on with the part that was used of
 * it. */
bool rate_table_charge(struct rate_table *table, uint64_t now_ns, struct rate_charge *charges,
                       unsigned count);

/* Takes back what rate_table_charge has charged, as the request was refused elsewhere. */
void rate_table_refund(struct rate_table *table, uint64_t now_ns, struct rate_charge *charges,
                       unsigned count);
/* Keeps debts that are somebody else's to keep, for when they cannot be asked. */
void rate_table_note(struct rate_table *table, uint64_t now_ns, const struct rate_charge *charges,
                     unsigned count);

/* What debt a request would have under a charge if it had `debt_ns` before: is_over and debt_ns are
 * set by it. Also for those who keep debts elsewhere. */
void rate_charge_weigh(struct rate_charge *charge, uint64_t debt_ns);

/* Until the next request is within the limit. */
uint64_t rate_wait_ns(const struct rate_charge *charge);
/* How many more are within it now. */
uint64_t rate_remaining(const struct rate_charge *charge);

/* For tests: entries in use, and their number in all. */
size_t rate_table_used(struct rate_table *table, uint64_t now_ns);
size_t rate_table_room(void);

#endif
