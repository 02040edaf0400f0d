/* Wakes a task whenever a descriptor that is no stream can be read: signalfd and the like. */
#ifndef NET_FD_WATCH_H
#define NET_FD_WATCH_H

#include "net/loop.h"

struct fd_watch;

/* Borrows `fd`, which is non-blocking: the task reads until there is nothing left, or it is woken
 * again at once. */
struct fd_watch *fd_watch_new(struct loop *loop, int fd, struct task *task);
void fd_watch_free(struct fd_watch *watch);

#endif
