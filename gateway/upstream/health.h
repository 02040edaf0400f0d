/* Active checks as values: what they make of a server, and when they are made. No I/O. */
#ifndef UPSTREAM_HEALTH_H
#define UPSTREAM_HEALTH_H

#include "base/random.h"
#include "upstream/server_state.h"
#include "upstream/upstream.h"

/* --- a server's ---------------------------------------------------------------------------- */

/* How a check ends. */
enum health_result {
    HEALTH_GOOD,
    HEALTH_UNRESOLVED, /* its name leads to no address, and never did */
    HEALTH_CONNECT_FAILED,
    HEALTH_CONNECT_TIMEOUT,
    HEALTH_TIMEOUT,      /* connected, and no whole answer in time */
    HEALTH_CLOSED,       /* the server left before its answer was whole */
    HEALTH_BAD_RESPONSE, /* what it answered is no HTTP, or too much of it */
    HEALTH_STATUS,       /* a status that is not asked for */
    HEALTH_BODY,         /* what the body should have is not in it */
    HEALTH_UNDECIDED,    /* no descriptor or memory was left here: says nothing of the server */
    HEALTH_RESULTS
};

struct health_outcome {
    enum health_result result;
    int status; /* of the answer; 0 without one */
};

const char *health_result_name(enum health_result result);  /* "good", "unresolved" … */
const char *check_verdict_name(enum check_verdict verdict); /* "unknown" … */
/* Why a check was bad: the result's name, with the status where that is why: "status 503". */
enum { HEALTH_REASON_SIZE = 32 };
void health_reason(struct health_outcome outcome, char text[HEALTH_REASON_SIZE]);

/* What became of its checks; all zeroes before the first. */
struct health {
    enum check_verdict verdict; /* CHECK_UNKNOWN, as good as up, until there were enough */
    bool is_good;               /* the last check that said anything was */
    unsigned in_a_row;          /* of such as that one */
    struct health_outcome bad;  /* the last that was: why it is down, or was */
};

/* Takes what came of a check. True: the verdict is another one now. */
bool health_note(struct health *health, const struct health_spec *spec,
                 struct health_outcome outcome);

/* --- when ---------------------------------------------------------------------------------- */

/* A process begins five checks in four milliseconds at most; of servers that were not checked yet,
 * which are all due at once, four, so that there is room to make up for what could not begin in
 * time. After a pause so many begin at once. What is due beyond that waits, in its turn. */
enum { HEALTH_BURST = 32, HEALTH_COST_FIRST = 5, HEALTH_COST = 4 };

struct health_schedule {
    struct random_source random;
    uint64_t taken; /* every fifth of a millisecond up to here is some check's */
};

void health_schedule_init(struct health_schedule *schedule, uint64_t seed);
/* Whether a check may begin now; if so, one does. `now_ms` never goes back. */
bool health_schedule_take(struct health_schedule *schedule, uint64_t now_ms, bool is_first);
/* When a server's next check is due after one began: in every_ms, give or take a tenth, so that
 * those that met once do not meet always. First checks all begin together, at the start: the second
 * one comes at any time around every_ms, which spreads them evenly from then on. */
uint64_t health_schedule_next_ms(struct health_schedule *schedule, uint64_t every_ms,
                                 bool is_second);

#endif
