#include "net/fd_watch.h"

#include <criterion/criterion.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    struct task task;
    int fd, woken;
};

static void read_one(void *owner)
{
    struct seen *seen = owner;
    char byte;
    cr_assert_eq(read(seen->fd, &byte, 1), 1);
    if (++seen->woken == 3)
        loop_stop(seen->loop);
}

Test(fd_watch, wakes_as_long_as_there_is_something_to_read)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct seen seen = {.loop = loop_new(), .fd = ends[0]};
    task_init(&seen.task, read_one, &seen);
    struct fd_watch *watch = fd_watch_new(seen.loop, ends[0], &seen.task);
    cr_assert_eq(write(ends[1], "abc", 3), 3);
    loop_run(seen.loop);
    cr_expect_eq(seen.woken, 3);
    fd_watch_free(watch);
    fd_watch_free(NULL);
    loop_free(seen.loop);
    close(ends[0]);
    close(ends[1]);
}
