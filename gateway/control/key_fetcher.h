/* Fetches keys that lie behind URLs, on the control thread's loop, for all workers: when a
 * generation names them, then again and again, and at once when a worker has met a token of a key
 * that it does not have (policy/key_desk.h). The last good ones stay in use while newer ones cannot
 * be had. */
#ifndef CONTROL_KEY_FETCHER_H
#define CONTROL_KEY_FETCHER_H

#include "config/snapshot.h"
#include "net/resolver.h"
#include "policy/key_desk.h"

enum { KEYS_OUT_MOST = 8 }; /* fetches under way */

struct key_fetcher;

/* Attends the desk. */
struct key_fetcher *key_fetcher_new(struct loop *loop, struct resolver *resolver,
                                    struct key_desk *desk);
/* The loop has stopped, and so has everybody who might come to the desk. */
void key_fetcher_free(struct key_fetcher *fetcher);

/* A snapshot goes to the workers: what it names is fetched from now on. */
void key_fetcher_take_in(struct key_fetcher *fetcher, const struct snapshot *snapshot);
/* It is with all of them: what it does not name is not fetched any more. */
void key_fetcher_leave_out(struct key_fetcher *fetcher, const struct snapshot *snapshot);

#endif
