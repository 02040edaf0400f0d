/* One worker's connection to Redis, on its loop: scripts are run there, many at once, and nobody
 * ever waits longer than the timeout.
 *
 * What goes over the wire is hiredis' business (its formatter and its reader); how it gets there is
 * ours, as for everything else (net/dialer.h, net/stream.h): nothing blocks, not even looking up a
 * name, and what comes only wakes tasks. Several servers are tried in order, the first that answers
 * is used. While none does, callers are told so at once. */
#ifndef NET_REDIS_CLIENT_H
#define NET_REDIS_CLIENT_H

#include "net/address.h"
#include "net/loop.h"
#include "net/redis_outage.h"

/* What becomes of what cannot be asked. */
enum redis_failure { REDIS_FAIL_LOCAL, REDIS_FAIL_ALLOW, REDIS_FAIL_DENY };

struct redis_server {
    struct slice name; /* as written */
    struct endpoint endpoint;
};

/* What the route file says. */
struct redis_spec {
    struct redis_server *servers; /* one at least */
    unsigned server_count;
    uint64_t timeout_ms; /* of each call; above 0 */
    enum redis_failure on_failure;
    struct slice user, password; /* empty: none; never told anybody */
    unsigned database;
    uint64_t fingerprint; /* of all that */
};

struct redis_client;

/* A client that asks nobody yet. `script` is run by every call; a literal. */
struct redis_client *redis_client_new(struct loop *loop, struct redis_outage *outage,
                                      const char *script);
/* Every call has been ended; before its loop. NULL is allowed. */
void redis_client_free(struct redis_client *client);

/* From now on those servers are asked, NULL: none. What was out is answered by an error, unless the
 * spec means the same as before. Copied. The addresses are name servers' (resolver_set_servers). */
void redis_client_follow(struct redis_client *client, const struct redis_spec *spec,
                         const struct address *name_servers, unsigned name_server_count);
enum redis_failure redis_client_on_failure(const struct redis_client *client);

enum { REDIS_WORDS_MOST = 64, REDIS_VALUES_MOST = 33 };

struct redis_call;

/* Runs the script: `words` are its keys, so many first, then its arguments. `task` is woken when
 * there is an answer, or the time is over. NULL: nobody answers at the moment, too many are waiting
 * already, or there is no memory. */
struct redis_call *redis_call_begin(struct redis_client *client, const struct slice *words,
                                    unsigned key_count, unsigned word_count, struct task *task);
/* IO_WAIT; IO_OK: an array of `count` integers came; IO_ERROR: something else, or nothing in time.
 */
enum io redis_call_answer(struct redis_call *call, int64_t *values, unsigned count);
/* Takes it, answered or not. */
void redis_call_end(struct redis_call *call);

#endif
