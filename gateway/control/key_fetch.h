/* Keys fetched once from their URL: a name looked up, a connection of its own, one request, and
 * what came of it. */
#ifndef CONTROL_KEY_FETCH_H
#define CONTROL_KEY_FETCH_H

#include "net/resolver.h"

enum {
    KEY_FETCH_TIMEOUT_MS = 5000,
    KEYS_FETCHED_EVERY_MS = 5 * 60 * 1000, /* unless the answer's max-age says otherwise */
    KEYS_FETCHED_LEAST_MS = 60 * 1000,
    KEYS_FETCHED_MOST_MS = 3600 * 1000,
    KEYS_RETRY_LEAST_MS = 1000, /* after a failure; doubles with each further one */
    KEYS_RETRY_MOST_MS = 60 * 1000,
};

struct key_fetch;

/* What came of it. */
struct key_answer {
    const char *why;    /* NULL: it is good; else why it is not, as long as the fetch lives */
    struct slice bytes; /* of a good one, as long as the fetch lives */
    bool has_max_age;
    uint64_t max_age_s;
};

/* Begins; `task` is woken as it goes on. `url` is borrowed while it lives, and was parsed before
 * (policy/key_url.h). */
struct key_fetch *key_fetch_start(struct loop *loop, struct resolver *resolver, const char *url,
                                  struct task *task);
/* IO_WAIT; IO_OK with what came of it, KEY_FETCH_TIMEOUT_MS after it began at the latest. */
enum io key_fetch_answer(struct key_fetch *fetch, struct key_answer *answer);
/* Takes it, answered or not. NULL: nothing. */
void key_fetch_end(struct key_fetch *fetch);

/* For how long what was fetched is good: as the answer's max-age says, within bounds. */
uint64_t key_fetch_good_for_ms(const struct key_answer *answer);
/* When to try again after so many failures in a row. */
uint64_t key_fetch_retry_ms(unsigned failures);

#endif
