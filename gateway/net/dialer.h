/* Connecting to one of several addresses, each tried in turn, within one deadline. */
#ifndef NET_DIALER_H
#define NET_DIALER_H

#include "net/address.h"
#include "net/stream.h"

struct dial;

/* Starts to connect; `task` is woken as it goes on. `addresses` (count >= 1) are copied. The
 * deadline covers all of them, an address that hangs getting an equal share of what is left of it;
 * when it runs out on the last one, the answer is a timeout. 0: the system's own patience.
 * NULL when there is no memory. */
struct dial *dial_start(struct loop *loop, const struct address *addresses, int count,
                        uint64_t timeout_ms, struct task *task);

enum dial_failure { DIAL_REFUSED, DIAL_TIMEOUT, DIAL_NO_FDS };

/* IO_WAIT; IO_OK: *stream is the caller's (a tcp_stream waking `task`); IO_ERROR: *failure says
 * why. After anything but IO_WAIT only dial_end is left. */
enum io dial_answer(struct dial *dial, struct stream **stream, enum dial_failure *failure);
/* Index of the address that was connected to, or tried last. */
int dial_current(const struct dial *dial);
/* Of what is on its way; -1 without. */
int dial_fd(const struct dial *dial);
/* Takes it, answered or not. */
void dial_end(struct dial *dial);

#endif
