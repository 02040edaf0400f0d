/* The most recent requests of one worker, for asking how others would be answered: host, path and
 * method in memory, no query strings, no field values.
 *
 * The worker's thread alone puts them in and takes copies out. A fixed number of bytes: the oldest
 * make room. */
#ifndef PROXY_RECENT_H
#define PROXY_RECENT_H

#include "base/slice.h"

enum {
    RECENT_BYTES_MIN = 8 * 1024,
    RECENT_PATH_MAX = 1024, /* a cut path would lead elsewhere: longer ones are left out */
    RECENT_METHOD_MAX = 32,
};

struct recent_request {
    uint64_t at_us; /* by the monotonic clock */
    uint16_t port;  /* that it came in by */
    bool is_tls;
    struct slice method;
    struct slice host, path; /* normalised; host empty: none was sent */
    struct slice sni;        /* normalised; empty: none was sent */
};

struct recent;

struct recent *recent_new(size_t bytes);
void recent_free(struct recent *recent);

/* No allocation. NULL: nothing is remembered. */
void recent_put(struct recent *recent, const struct recent_request *request);
/* Requests that were too long to be put in, since the beginning. */
uint64_t recent_left_out(const struct recent *recent);

/* A copy of all, the oldest first; the caller frees it. *bytes says how long it is. */
char *recent_copy(const struct recent *recent, size_t *bytes);
/* Takes the first of a copy off its front; its texts are in the copy. `identity`: bytes that are
 * the same for requests that differ in their time alone. False at the end. */
bool recent_next(struct slice *copy, struct recent_request *request, struct slice *identity);

#endif
