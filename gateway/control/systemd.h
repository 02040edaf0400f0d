/* Tells a service manager what the gateway does: the datagrams of sd_notify(3), which systemd and
 * some others read, spoken here without a library.
 *
 * Nothing blocks: what the manager's full socket does not take is said a little later, as it is
 * then. What goes wrong is logged once and harms nothing. */
#ifndef CONTROL_SYSTEMD_H
#define CONTROL_SYSTEMD_H

#include "net/loop.h"

struct load_outcome;
struct systemd;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment: before
 * any thread is started. If the manager wants to see a sign of life, the loop gives it from now on.
 * NULL: nobody wants to be told anything, and all calls below do nothing. */
struct systemd *systemd_new(struct loop *loop);
void systemd_free(struct systemd *systemd);

/* The first generation is served: READY=1. Loads before that are nobody's business. */
void systemd_started(struct systemd *systemd, const struct load_outcome *outcome);

/* A load begins: RELOADING=1. */
void systemd_loading(struct systemd *systemd);
/* It has ended, whatever came of it: READY=1, and what is served now. `refusal`: the first reason,
 * if it was refused. */
void systemd_loaded(struct systemd *systemd, const struct load_outcome *outcome,
                    const char *refusal);

/* Draining, for `limit_ms` at most (0: without limit), and `what` happens meanwhile. The first time
 * STOPPING=1; then more time is asked for as long as the limit lasts, so that the manager's own
 * patience does not end first. Without a limit the manager's patience is the limit. */
void systemd_draining(struct systemd *systemd, const char *what, uint64_t limit_ms);

#endif
