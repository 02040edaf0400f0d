/* Names to addresses off the loop: getaddrinfo on helper threads of the process. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "net/address.h"
#include "net/loop.h"

enum { RESOLVER_ADDRESSES_MAX = 16 };

struct resolver; /* one per process, shared by all loops */
struct lookup;   /* one question in flight */

struct resolver *resolver_new(unsigned threads);
/* After every loop that asked has stopped. */
void resolver_free(struct resolver *resolver);

/* Starts a look-up; `task` is woken on `loop` when there is an answer. NULL when there is no
 * memory; else it never fails at once. */
struct lookup *lookup_start(struct resolver *resolver, struct loop *loop, const char *name,
                            uint16_t port, struct task *task);
/* IO_WAIT, IO_OK with addresses in the order to try, or IO_ERROR with the reason as text. */
enum io lookup_answer(struct lookup *lookup, struct address addresses[RESOLVER_ADDRESSES_MAX],
                      int *count, const char **reason);
/* Takes it, answered or not; a job still running outlives it. */
void lookup_end(struct lookup *lookup);

#endif
