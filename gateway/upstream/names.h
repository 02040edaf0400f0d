/* What the names of servers lead to, looked up and kept fresh once for the whole process, on the
 * control thread's loop.
 *
 * A name is looked up from the moment that a backend in use has it until none has. The last good
 * answer stays when a later look-up fails.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_NAMES_H
#define UPSTREAM_NAMES_H

#include "net/resolver.h"
#include "upstream/server_set.h"

#include <pthread.h>

enum {
    NAME_TTL_LEAST_MS = 1000,
    NAME_TTL_MOST_MS = 5 * 60 * 1000,
    NAME_UNAGED_MS = 10 * 1000, /* what has no time to live may change all the same: hosts files */
    NAME_RETRY_LEAST_MS = 1000, /* after a failure; doubles with each further one */
    NAME_RETRY_MOST_MS = 10 * 1000,
};

struct names;
struct name_watch;

/* `changed` is called on the loop, without the lock, for each user of a name whose answer is
 * another one now. `lock` guards answers: names takes it to change one, others hold it while they
 * read. */
struct names *names_new(struct loop *loop, struct resolver *resolver, pthread_mutex_t *lock,
                        void (*changed)(void *user));
/* No watch may be left. */
void names_free(struct names *names);

/* Looks the name up from now on: `user` is told when what it leads to changes. "srv:_http._tcp.api"
 * stands for the SRV records of _http._tcp.api; a name that ends in a dot is complete. On the loop.
 */
struct name_watch *names_watch(struct names *names, const char *name, void *user);
void names_unwatch(struct names *names, struct name_watch *watch, void *user);

/* What the name leads to, addresses without a port; NULL addresses unless KNOWN. Any thread, with
 * the lock, until it is let go. */
enum addresses_known names_answer(const struct names *names, const char *name,
                                  const struct address **addresses, int *count);
/* The same for the targets of "srv:NAME", by priority. */
enum addresses_known names_targets(const struct names *names, const char *name,
                                   const struct srv_target **targets, int *count);
/* For how long an answer with this TTL is used, or LOOKUP_TTL_NONE. */
uint64_t names_ttl_ms(uint32_t ttl_s);
/* How many look-ups have ended: for tests. With the lock. */
unsigned names_answer_count(const struct names *names);

#endif
