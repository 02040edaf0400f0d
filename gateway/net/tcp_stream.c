#include "net/tcp_stream.h"

#include "net/ev_memory.h"

#include <errno.h>
#include <ev.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* An idle connection holds one, so it is packed. */
struct tcp_stream {
    struct stream stream;
    struct ev_io watcher;            /* its data is the loop */
    int16_t read_errno, write_errno; /* remembered: what broke stays broken */
    bool may_read, may_write;
    bool is_at_end; /* the peer's FIN was read */
    bool is_shut;   /* ours was sent */
};

static struct tcp_stream *from_stream(const struct stream *stream)
{
    return container_of(stream, struct tcp_stream, stream);
}

static struct loop *loop_of(const struct tcp_stream *tcp)
{
    return tcp->watcher.data;
}

/* Which of EV_READ and EV_WRITE are reported from now on. One of them that has happened and is not
 * told yet is told by the next poll, and what is as it was again by then costs no system call. */
static void watch(struct tcp_stream *tcp, int events)
{
    struct ev_loop *ev = loop_ev(loop_of(tcp));

    ev_io_stop(ev, &tcp->watcher);
    ev_io_modify(&tcp->watcher, events);
    if (events != 0)
        ev_io_start(ev, &tcp->watcher);
}

static int watched(const struct tcp_stream *tcp)
{
    return ev_is_active(&tcp->watcher) ? tcp->watcher.events : 0;
}

static void start(struct tcp_stream *tcp, int event)
{
    if (!(watched(tcp) & event))
        watch(tcp, watched(tcp) | event);
}

static void rest(struct tcp_stream *tcp, int event)
{
    if (watched(tcp) & event)
        watch(tcp, watched(tcp) & ~event);
}

/* An event whose flag is set already, although the task had its chance to ask or has long to wait
 * for it, is of no interest to anybody now: its direction rests until somebody asks, or it would be
 * reported at each poll. */
static void note_event(struct tcp_stream *tcp, int event, bool *flag)
{
    struct task *task = tcp->stream.task;
    if (!*flag) {
        *flag = true;
        if (task != NULL)
            loop_wake(loop_of(tcp), task);
    } else if (task == NULL || task->state != TASK_QUEUED || task->is_patient) {
        rest(tcp, event);
    }
}

static void on_event(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct tcp_stream *tcp = container_of(watcher, struct tcp_stream, watcher);
    (void)ev;
    if (events & EV_READ)
        note_event(tcp, EV_READ, &tcp->may_read);
    if (events & EV_WRITE)
        note_event(tcp, EV_WRITE, &tcp->may_write);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static enum io end_reading(struct tcp_stream *tcp)
{
    rest(tcp, EV_READ);
    return tcp->read_errno != 0 ? IO_ERROR : IO_EOF;
}

static enum io receive(struct tcp_stream *tcp, char *into, size_t room, int flags, size_t *got)
{
    assert(room > 0);
    if (tcp->read_errno != 0)
        return IO_ERROR;
    if (tcp->is_at_end)
        return IO_EOF;
    if (!tcp->may_read)
        return IO_WAIT;

    ssize_t n;
    do {
        n = recv(tcp->watcher.fd, into, room, flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        tcp->read_errno = (int16_t)errno;
        return end_reading(tcp);
    }
    if (n == 0) {
        /* A reset is reported once. If send got it, recv sees an orderly end here, which would make
         * a truncated answer look whole; EPIPE alone says that the FIN came before the reset. */
        if (tcp->write_errno != 0 && tcp->write_errno != EPIPE)
            tcp->read_errno = tcp->write_errno;
        else
            tcp->is_at_end = true;
        return end_reading(tcp);
    }
    if (n < 0 || (n < (ssize_t)room && !(flags & MSG_PEEK))) {
        tcp->may_read = false;
        start(tcp, EV_READ);
    }
    if (n < 0)
        return IO_WAIT;
    *got = (size_t)n;
    return IO_OK;
}

void tcp_stream_ask_first(struct stream *stream)
{
    struct tcp_stream *tcp = from_stream(stream);

    tcp->may_read = true;
    rest(tcp, EV_READ);
}

void tcp_stream_doubt(struct stream *stream)
{
    from_stream(stream)->may_read = true;
}

enum io tcp_stream_recv(struct stream *stream, char *into, size_t room, size_t *got)
{
    return receive(from_stream(stream), into, room, 0, got);
}

enum io tcp_stream_peek(struct stream *stream, char *into, size_t room, size_t *got)
{
    return receive(from_stream(stream), into, room, MSG_PEEK, got);
}

static enum io read_into(struct stream *stream, struct buffer *into)
{
    size_t got = 0;
    enum io io = tcp_stream_recv(stream, buffer_tail(into), buffer_room(into), &got);
    if (io == IO_OK)
        buffer_added(into, got);
    return io;
}

/* --- writing -------------------------------------------------------------------------------------
 */

static bool is_broken(const struct tcp_stream *tcp)
{
    return tcp->write_errno != 0 || tcp->read_errno != 0;
}

enum io tcp_stream_send(struct stream *stream, struct slice bytes, size_t *sent)
{
    struct tcp_stream *tcp = from_stream(stream);
    assert(bytes.len > 0);
    if (is_broken(tcp))
        return IO_ERROR;
    if (!tcp->may_write)
        return IO_WAIT;

    ssize_t n;
    do {
        n = send(tcp->watcher.fd, bytes.at, bytes.len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        tcp->write_errno = (int16_t)errno;
        rest(tcp, EV_WRITE);
        return IO_ERROR;
    }
    if (n < (ssize_t)bytes.len) {
        tcp->may_write = false;
        start(tcp, EV_WRITE);
    }
    if (n < 0)
        return IO_WAIT;
    *sent = (size_t)n;
    return IO_OK;
}

static enum io write_from(struct stream *stream, struct slice bytes, size_t *taken)
{
    struct tcp_stream *tcp = from_stream(stream);
    *taken = 0;
    if (bytes.len > 0)
        return tcp_stream_send(stream, bytes, taken);
    if (is_broken(tcp))
        return IO_ERROR;
    return tcp->may_write ? IO_OK : IO_WAIT;
}

/* Nothing is held here. */
static enum io flush(struct stream *stream)
{
    return is_broken(from_stream(stream)) ? IO_ERROR : IO_OK;
}

static enum io shut(struct stream *stream)
{
    struct tcp_stream *tcp = from_stream(stream);
    if (is_broken(tcp))
        return IO_ERROR;
    if (tcp->is_shut)
        return IO_OK;
    if (shutdown(tcp->watcher.fd, SHUT_WR) < 0) {
        tcp->write_errno = (int16_t)errno;
        return IO_ERROR;
    }
    tcp->is_shut = true;
    return IO_OK;
}

static struct stream_traffic traffic(const struct stream *stream)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    if (getsockopt(from_stream(stream)->watcher.fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return (struct stream_traffic){UINT64_MAX, UINT64_MAX}; /* a Unix socket has none */
    return (struct stream_traffic){.came = info.tcpi_bytes_received,
                                   .arrived = info.tcpi_bytes_acked};
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void close_stream(struct stream *stream)
{
    struct tcp_stream *tcp = from_stream(stream);
    ev_io_stop(loop_ev(loop_of(tcp)), &tcp->watcher);
    close(tcp->watcher.fd);
    free(tcp);
}

void tcp_stream_close_with_reset(struct stream *stream)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    /* Where it fails (a Unix socket knows no reset) the end is as it would have been. */
    setsockopt(from_stream(stream)->watcher.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static const struct stream_ops tcp_ops = {
    .read = read_into,
    .write = write_from,
    .flush = flush,
    .shut = shut,
    .traffic = traffic,
    .close = close_stream,
};

struct stream *tcp_stream_new(struct loop *loop, int fd, struct task *task)
{
    struct tcp_stream *tcp = ev_memory_provide(fd) ? memory_try(sizeof(*tcp)) : NULL;
    if (tcp == NULL) {
        close(fd);
        return NULL;
    }
    tcp->stream = (struct stream){.ops = &tcp_ops, .task = task};
    tcp->may_write = true;
    ev_io_init(&tcp->watcher, on_event, fd, EV_READ);
    tcp->watcher.data = loop;
    ev_io_start(loop_ev(loop), &tcp->watcher);
    return &tcp->stream;
}

bool tcp_stream_peer_has_left(const struct stream *stream)
{
    struct pollfd ask = {.fd = from_stream(stream)->watcher.fd, .events = POLLRDHUP};
    return poll(&ask, 1, 0) > 0;
}

void tcp_stream_keep_little_unsent(struct stream *stream)
{
    const int most = 64 * 1024;

    setsockopt(from_stream(stream)->watcher.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most,
               sizeof(most));
}

void tcp_stream_acknowledge(struct stream *stream)
{
    const int on = 1;
    const struct tcp_stream *tcp = from_stream(stream);

    if (!tcp->may_read)
        setsockopt(tcp->watcher.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

int tcp_stream_fd(const struct stream *stream)
{
    return from_stream(stream)->watcher.fd;
}

struct loop *tcp_stream_loop(const struct stream *stream)
{
    return loop_of(from_stream(stream));
}

int tcp_stream_errno(const struct stream *stream)
{
    const struct tcp_stream *tcp = from_stream(stream);
    return tcp->read_errno != 0 ? tcp->read_errno : tcp->write_errno;
}
