/* How often clients may ask: a policy of one or several limits, all of which a request must be
 * within. */
#ifndef POLICY_RATE_LIMIT_H
#define POLICY_RATE_LIMIT_H

#include "policy/rate_key.h"
#include "policy/rate_table.h"

enum rate_scope { RATE_SCOPE_PROCESS, RATE_SCOPE_REDIS };

/* What was written of a limit, as bits: the rest is for the places behind it, or built in. */
enum rate_given {
    RATE_GIVEN_RATE = 1,
    RATE_GIVEN_BURST = 2,
    RATE_GIVEN_KEY = 4,
    RATE_GIVEN_SCOPE = 8,
    RATE_GIVEN_ENFORCE = 16,
};

struct rate_spec {
    unsigned given;  /* enum rate_given */
    uint64_t number; /* of requests … */
    char unit;       /* … in one of these: s, m, h, d */
    uint64_t burst;  /* at once; as many as `number` where it is not given */
    enum rate_key key;
    struct slice name; /* RATE_BY_HEADER, RATE_BY_COOKIE */
    enum rate_scope scope;
    bool is_enforced;
};

/* Of limits a second, and of all that may come at once: what is more means nothing. */
enum { RATE_MOST_A_SECOND = 1000 * 1000, RATE_BURST_DAYS = 366 };

/* A window is at most that long. */
bool rate_burst_fits(const struct rate_spec *spec);
/* Whether there is such a unit, and its length. */
uint64_t rate_unit_ns(char unit);

/* How it was written: an object leaves what it does not say to the places behind it, the others
 * replace those; and nothing is left to a list. */
enum rate_form { RATE_AS_OBJECT, RATE_AS_TEXT, RATE_AS_LIST };

/* Counted under `place` and the number of each. What it keeps of the specs is copied. At most
 * RATE_CHARGES_MOST. */
struct policy *rate_limit_new(const struct rate_spec *specs, unsigned count, enum rate_form form,
                              struct slice place);

#endif
