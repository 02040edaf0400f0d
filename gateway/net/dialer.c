#include "net/dialer.h"

#include "base/check.h"
#include "net/ev_memory.h"
#include "net/tcp_stream.h"

#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum dial_state {
    DIAL_CONNECTING, /* `fd` is on its way to addresses[current] */
    DIAL_CONNECTED,  /* `fd` is there */
    DIAL_HANDED,     /* `fd` is the asker's */
    DIAL_FAILED,
};

struct dial {
    struct loop *loop;
    struct task *task; /* the asker's: woken by the watcher and by the deadline */
    enum dial_state state;
    enum dial_failure failure;
    int fd; /* -1: none */
    bool is_writable;
    ev_io watcher;
    struct deadline deadline; /* of the current address */
    uint64_t due_ms;          /* of all of them; 0: none */
    int current, count;
    struct address addresses[];
};

static void note_writable(struct ev_loop *ev, ev_io *watcher, int events)
{
    struct dial *dial = watcher->data;
    (void)events;
    ev_io_stop(ev, watcher);
    dial->is_writable = true;
    loop_wake(dial->loop, dial->task);
}

static void drop_socket(struct dial *dial)
{
    ev_io_stop(loop_ev(dial->loop), &dial->watcher);
    deadline_clear(&dial->deadline);
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* An address that hangs leaves an equal share of the time to each one behind it. */
static void arm_deadline(struct dial *dial)
{
    if (dial->due_ms == 0)
        return;
    uint64_t now_ms = loop_now_ms(dial->loop);
    uint64_t left_ms = dial->due_ms > now_ms ? dial->due_ms - now_ms : 0;
    uint64_t share_ms = left_ms / (uint64_t)(dial->count - dial->current);
    deadline_set(dial->loop, &dial->deadline, share_ms > 0 ? share_ms : 1);
}

/* A peer that is gone without a word, or forgotten by what is in between, is found out. */
static void keep_alive(int fd)
{
    static const int idle_s = 60, interval_s = 10, probes = 6, on = 1;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* 0: on its way or there; else errno. */
static int connect_current(struct dial *dial)
{
    const struct address *address = &dial->addresses[dial->current];
    dial->fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0)
        return errno;
    if (!ev_memory_provide(dial->fd))
        return ENOMEM;
    if (address->as.any.sa_family != AF_UNIX) {
        int on = 1;
        setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        keep_alive(dial->fd);
    }
    if (connect(dial->fd, &address->as.any, address->length) == 0) {
        dial->state = DIAL_CONNECTED;
        return 0;
    }
    if (errno != EINPROGRESS)
        return errno; /* a Unix socket whose queue is full says EAGAIN: as good as refused */
    dial->is_writable = false;
    ev_io_set(&dial->watcher, dial->fd, EV_WRITE);
    ev_io_start(loop_ev(dial->loop), &dial->watcher);
    arm_deadline(dial);
    return 0;
}

/* Goes on from `error` at the current address: to the next one that can be tried, or to the end. */
static void try_from(struct dial *dial, int error)
{
    while (error != 0) {
        drop_socket(dial);
        dial->failure = is_shortage(error)   ? DIAL_NO_FDS
                        : error == ETIMEDOUT ? DIAL_TIMEOUT
                                             : DIAL_REFUSED;
        if (dial->failure == DIAL_NO_FDS || dial->current + 1 == dial->count) {
            dial->state = DIAL_FAILED;
            return;
        }
        dial->current++;
        error = connect_current(dial);
    }
}

struct dial *dial_start(struct loop *loop, const struct address *addresses, int count,
                        uint64_t timeout_ms, struct task *task)
{
    assert(count >= 1);
    size_t addresses_bytes = sizeof(*addresses) * (size_t)count;
    struct dial *dial = memory_try(sizeof(*dial) + addresses_bytes);
    if (dial == NULL)
        return NULL;
    dial->loop = loop;
    dial->task = task;
    dial->fd = -1;
    dial->count = count;
    dial->due_ms = timeout_ms > 0 ? loop_now_ms(loop) + timeout_ms : 0;
    memcpy(dial->addresses, addresses, addresses_bytes);
    deadline_init(&dial->deadline, task);
    ev_init(&dial->watcher, note_writable);
    dial->watcher.data = dial;
    try_from(dial, connect_current(dial));
    if (dial->state != DIAL_CONNECTING)
        loop_wake(loop, task);
    return dial;
}

/* How the attempt at the current address stands. */
static void look(struct dial *dial)
{
    int error = 0;
    socklen_t length = sizeof(error);
    if (dial->is_writable) {
        if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
            error = errno;
        if (error == 0)
            dial->state = DIAL_CONNECTED;
    } else if (deadline_passed(dial->loop, &dial->deadline)) {
        error = ETIMEDOUT;
    }
    try_from(dial, error);
}

enum io dial_answer(struct dial *dial, struct stream **stream, enum dial_failure *failure)
{
    assert(dial->state != DIAL_HANDED);
    if (dial->state == DIAL_CONNECTING)
        look(dial);
    if (dial->state == DIAL_CONNECTING)
        return IO_WAIT;
    if (dial->state == DIAL_CONNECTED) {
        int fd = dial->fd;
        dial->fd = -1;
        drop_socket(dial);
        *stream = tcp_stream_new(dial->loop, fd, dial->task);
        dial->state = *stream != NULL ? DIAL_HANDED : DIAL_FAILED;
        dial->failure = DIAL_NO_FDS;
        if (*stream != NULL)
            return IO_OK;
    }
    *failure = dial->failure;
    return IO_ERROR;
}

int dial_current(const struct dial *dial)
{
    return dial->current;
}

int dial_fd(const struct dial *dial)
{
    return dial->fd;
}

void dial_end(struct dial *dial)
{
    drop_socket(dial);
    free(dial);
}
