/* What `diff` found, for people and for programs. */
#ifndef CLI_DIFF_PRINT_H
#define CLI_DIFF_PRINT_H

#include "base/buffer.h"
#include "config/diff.h"

/* A recent request that would be answered differently. */
struct answered_differently {
    struct slice request; /* "GET https://a.test/x" */
    uint64_t count;       /* how often it came */
    size_t place;         /* among those found, the most recent first */
    struct slice was, is; /* who answers */
};

/* What recent requests would make of it. */
struct replay_result {
    uint64_t requests, left_out;
    uint64_t different;    /* requests that would be answered differently */
    uint64_t certificates; /* that would get another certificate, whatever the answer */
    struct answered_differently *list;
    size_t count;
};

struct diff_report {
    uint64_t generation;  /* of the running gateway; 0: the older side is a file */
    const char *old_file; /* of either */
    const char *new_file;
    const struct diff *diff;
    const struct replay_result *replay; /* NULL: no running gateway */
};

void diff_print_text(const struct diff_report *report, struct buffer *out, bool in_colour);
void diff_print_json(const struct diff_report *report, struct buffer *out);

#endif
