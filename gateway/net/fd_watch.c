#include "net/fd_watch.h"

#include <ev.h>
#include <stdlib.h>

struct fd_watch {
    ev_io readable;
    struct loop *loop;
    struct task *task;
};

static void wake_task(struct ev_loop *ev, ev_io *readable, int events)
{
    (void)ev;
    (void)events;
    struct fd_watch *watch = container_of(readable, struct fd_watch, readable);
    loop_wake(watch->loop, watch->task);
}

struct fd_watch *fd_watch_new(struct loop *loop, int fd, struct task *task)
{
    struct fd_watch *watch = memory_new(sizeof(*watch));
    watch->loop = loop;
    watch->task = task;
    ev_io_init(&watch->readable, wake_task, fd, EV_READ);
    ev_io_start(loop_ev(loop), &watch->readable);
    return watch;
}

void fd_watch_free(struct fd_watch *watch)
{
    if (watch == NULL)
        return;
    ev_io_stop(loop_ev(watch->loop), &watch->readable);
    free(watch);
}
