/* What came of one load: for whoever asked for it, the log, and the manager. */
#ifndef CONTROL_LOAD_OUTCOME_H
#define CONTROL_LOAD_OUTCOME_H

#include "config/diff.h"

/* The larger ones do what the smaller ones do. */
enum load_kind {
    LOAD_NOTHING,
    LOAD_RENEWAL, /* the certificates of the running config */
    LOAD_WHOLE,   /* the route file, too */
};

enum load_result {
    LOAD_PUBLISHED,
    LOAD_UNCHANGED,
    LOAD_INVALID,  /* the route file or a certificate: see the problems */
    LOAD_FAILED,   /* fine, but not to be had here: an address is taken, a log cannot be written */
    LOAD_TOO_LATE, /* draining */
    LOAD_RESULTS
};

struct load_outcome {
    unsigned references;
    enum load_kind kind;
    enum load_result result;
    uint64_t generation;          /* the one served now; 0: none */
    struct problems problems;     /* errors if refused, warnings always */
    struct cert_problems broken;  /* certificates that are */
    struct cert_load_counts read; /* certificates that were */
    struct diff changes;          /* LOAD_PUBLISHED: to the generation before; none for the first */
};

static inline bool load_is_refused(const struct load_outcome *outcome)
{
    return outcome->result >= LOAD_INVALID;
}

const char *load_result_name(enum load_result result); /* "published", "unchanged", "invalid" … */

/* With one reference; the control thread's alone. */
struct load_outcome *load_outcome_new(void);
void load_outcome_unref(struct load_outcome *outcome);

/* One line for what came of it, then one for each problem. `file` names the route file. */
void load_outcome_log(const struct load_outcome *outcome, const char *file);
/* What is quarantined now and was not before, and the other way round. */
void load_outcome_log_quarantine(const struct cert_problems *before,
                                 const struct cert_problems *now);

#endif
