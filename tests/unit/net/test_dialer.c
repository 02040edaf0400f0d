/* Connecting to one of several addresses: those that refuse, hang or cannot be had at all. */
#include "net/dialer.h"

#include "net/tcp_stream.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct dialing {
    struct loop *loop;
    struct task task;
    struct dial *dial;
    enum io answer;
    struct stream *stream;
    enum dial_failure failure;
    uint64_t started_ms, took_ms;
};

static void run_dialing(void *owner)
{
    struct dialing *d = owner;
    if (d->dial == NULL)
        return;
    d->answer = dial_answer(d->dial, &d->stream, &d->failure);
    if (d->answer == IO_WAIT)
        return;
    d->took_ms = loop_now_ms(d->loop) - d->started_ms;
    loop_stop(d->loop);
}

static void set_up(struct dialing *d)
{
    *d = (struct dialing){.loop = loop_new()};
    task_init(&d->task, run_dialing, d);
}

static void start(struct dialing *d, const struct address *addresses, int count,
                  uint64_t timeout_ms)
{
    d->started_ms = loop_now_ms(d->loop);
    d->dial = dial_start(d->loop, addresses, count, timeout_ms, &d->task);
    loop_run(d->loop);
}

static void tear_down(struct dialing *d)
{
    if (d->dial != NULL)
        dial_end(d->dial);
    d->dial = NULL;
    if (d->stream != NULL)
        stream_close(d->stream);
    loop_free(d->loop);
}

Test(dialer, connects_and_hands_over_a_stream)
{
    struct dialing d;
    struct address address;
    int listener = loopback_listen(&address), on = 0;
    socklen_t length = sizeof(on);
    size_t taken = 0;
    char got[4] = "";
    set_up(&d);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.answer, IO_OK);
    cr_assert_eq(dial_current(d.dial), 0);

    int fd = tcp_stream_fd(d.stream), peer = accept(listener, NULL, NULL);
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length);
    cr_assert_neq(on, 0);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(stream_write(d.stream, slice_of("ping"), &taken), IO_OK);
    cr_assert_eq(stream_flush(d.stream), IO_OK);
    cr_assert_eq(recv(peer, got, sizeof(got), MSG_WAITALL), 4);
    close(peer);
    close(listener);
    tear_down(&d);
}

/* A server that vanished without a word is found out about some time. */
Test(dialer, the_kernel_looks_after_idle_connections)
{
    struct address address;
    int listener = loopback_listen(&address), is_on = 0;
    socklen_t size = sizeof(is_on);
    struct dialing d;

    set_up(&d);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.answer, IO_OK);
    cr_assert_eq(getsockopt(tcp_stream_fd(d.stream), SOL_SOCKET, SO_KEEPALIVE, &is_on, &size), 0);
    cr_assert_eq(is_on, 1);
    tear_down(&d);
    close(listener);
}

Test(dialer, an_address_that_refuses_is_followed_by_the_next)
{
    struct dialing d;
    struct address addresses[3];
    int refusing[2] = {loopback_refuse(&addresses[0]), loopback_refuse(&addresses[1])};
    int listener = loopback_listen(&addresses[2]);
    set_up(&d);
    start(&d, addresses, 3, 1000);
    cr_assert_eq(d.answer, IO_OK);
    cr_assert_eq(dial_current(d.dial), 2);
    cr_assert_lt(d.took_ms, 500);
    close(refusing[0]);
    close(refusing[1]);
    close(listener);
    tear_down(&d);
}

Test(dialer, when_all_refuse_so_does_it)
{
    struct dialing d;
    struct address addresses[2];
    int refusing[2] = {loopback_refuse(&addresses[0]), loopback_refuse(&addresses[1])};
    set_up(&d);
    start(&d, addresses, 2, 1000);
    cr_assert_eq(d.answer, IO_ERROR);
    cr_assert_eq(d.failure, DIAL_REFUSED);
    cr_assert_null(d.stream);
    close(refusing[0]);
    close(refusing[1]);
    tear_down(&d);
}

Test(dialer, a_family_that_cannot_be_had_is_followed_by_the_next)
{
    struct dialing d;
    struct address addresses[2] = {{.length = sizeof(struct sockaddr)}};
    int listener = loopback_listen(&addresses[1]);
    addresses[0].as.any.sa_family = AF_MAX; /* as IPv6 where it is off */
    set_up(&d);
    start(&d, addresses, 2, 1000);
    cr_assert_eq(d.answer, IO_OK);
    close(listener);
    tear_down(&d);
}

Test(dialer, an_address_that_hangs_ends_in_a_timeout)
{
    struct dialing d;
    struct address address;
    struct loopback_hang hang;
    loopback_hang(&hang, &address);
    set_up(&d);
    int fds = open_fd_count();
    start(&d, &address, 1, 150);
    cr_assert_eq(d.answer, IO_ERROR);
    cr_assert_eq(d.failure, DIAL_TIMEOUT);
    cr_assert_geq(d.took_ms, 150);
    cr_assert_lt(d.took_ms, 1000);
    cr_assert_eq(open_fd_count(), fds);
    loopback_hang_end(&hang);
    tear_down(&d);
}

Test(dialer, an_address_that_hangs_leaves_time_for_the_next)
{
    struct dialing d;
    struct address addresses[2];
    struct loopback_hang hang;
    loopback_hang(&hang, &addresses[0]);
    int listener = loopback_listen(&addresses[1]);
    set_up(&d);
    start(&d, addresses, 2, 400);
    cr_assert_eq(d.answer, IO_OK);
    cr_assert_eq(dial_current(d.dial), 1);
    cr_assert_geq(d.took_ms, 200);
    cr_assert_lt(d.took_ms, 400);
    close(listener);
    loopback_hang_end(&hang);
    tear_down(&d);
}

Test(dialer, one_deadline_covers_all_addresses)
{
    struct dialing d;
    struct address addresses[4];
    struct loopback_hang hang;
    loopback_hang(&hang, &addresses[0]);
    for (int i = 1; i < 4; i++)
        addresses[i] = addresses[0];
    set_up(&d);
    start(&d, addresses, 4, 200);
    cr_assert_eq(d.answer, IO_ERROR);
    cr_assert_eq(d.failure, DIAL_TIMEOUT);
    cr_assert_geq(d.took_ms, 200);
    cr_assert_lt(d.took_ms, 1000);
    loopback_hang_end(&hang);
    tear_down(&d);
}

Test(dialer, connects_to_a_unix_socket)
{
    char folder[] = "/tmp/dialer-XXXXXX", path[64];
    struct dialing d;
    struct address address;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    int listener = loopback_listen_unix(path, 8, &address);
    set_up(&d);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.answer, IO_OK);
    tear_down(&d);

    close(listener); /* the file stays: nobody listens there */
    set_up(&d);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.failure, DIAL_REFUSED);
    tear_down(&d);

    unlink(path);
    set_up(&d);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.answer, IO_ERROR);
    cr_assert_eq(d.failure, DIAL_REFUSED);
    tear_down(&d);
    rmdir(folder);
}

Test(dialer, a_shortage_of_descriptors_is_called_so)
{
    struct dialing d;
    struct address address;
    int listener = loopback_listen(&address);
    struct rlimit limit;
    set_up(&d);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)dup(listener); /* the next free one is beyond */
    close((int)limit.rlim_cur);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start(&d, &address, 1, 1000);
    cr_assert_eq(d.answer, IO_ERROR);
    cr_assert_eq(d.failure, DIAL_NO_FDS);
    close(listener);
    tear_down(&d);
}

Test(dialer, a_dial_ended_early_leaves_nothing_behind)
{
    struct dialing d;
    struct address address;
    struct loopback_hang hang;
    loopback_hang(&hang, &address);
    set_up(&d);
    int fds = open_fd_count();
    struct dial *dial = dial_start(d.loop, &address, 1, 1000, &d.task);
    cr_assert_eq(open_fd_count(), fds + 1);
    cr_assert_eq(dial_answer(dial, &d.stream, &d.failure), IO_WAIT);
    dial_end(dial);
    cr_assert_eq(open_fd_count(), fds);
    loopback_hang_end(&hang);
    tear_down(&d);
}
