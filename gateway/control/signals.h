/* Signals as tasks of the control loop. */
#ifndef CONTROL_SIGNALS_H
#define CONTROL_SIGNALS_H

#include "base/error.h"
#include "net/loop.h"

struct signals;

/* Keeps the signals that the gateway answers to away from this thread and from those it starts
 * later, and ignores SIGPIPE. Before any thread is started. */
void signals_block(void);

/* `on_signal` is called from a task of the loop, once for each kind that came. NULL on error. */
struct signals *signals_new(struct loop *loop, void (*on_signal)(void *owner, int number),
                            void *owner, struct error *error);
void signals_free(struct signals *signals);

/* For when the loop runs no more but threads are still waited for: a signal that ends the gateway
 * then ends the process at once, with 1. `socket_path` (copied; may be NULL) is removed before. */
void signals_exit_at_once(const char *socket_path);

/* SIGTERM, SIGINT, SIGQUIT. */
bool signal_ends(int number);

#endif
