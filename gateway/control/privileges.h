/* What the process gives up at its start, for good: root, capabilities, the way back to either. */
#ifndef CONTROL_PRIVILEGES_H
#define CONTROL_PRIVILEGES_H

#include "base/error.h"
#include "config/snapshot.h"

/* Whether there is anything to give up: root, or a capability. */
bool privileges_are_held(void);

/* Becomes the user: groups, group, user, in that order, and tries to come back, which must fail.
 * Root only; false leaves the process between the two, fit for nothing but its end. */
bool privileges_become(const struct process_user *user, struct error *error);

/* Before any thread is started, since each gets what the one that starts it has. Becomes
 * `wanted`'s user if this is root, gives up every capability but CAP_NET_BIND_SERVICE where
 * `wanted` listens below 1024, and whatever execve could give anew. `wanted` NULL: nothing is known
 * of the route file, so nothing is kept. Logs who serves from here on. False: it must not serve. */
bool privileges_drop(const struct globals *wanted, struct error *error);

/* For the first generation: false if its `user` is another one than privileges_drop was told, as
 * when the route file has changed, or could not be read, in that moment. */
bool privileges_fit(const struct globals *globals, struct error *error);
/* For every further one: `user` and `group` have their effect at a start. */
void privileges_warn_if_changed(const struct globals *was, const struct globals *is);

#endif
