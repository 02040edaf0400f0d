#include "net/listener.h"

#include "base/log.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    BATCH = 16, /* the most that are accepted before others have their turn */
    /* At most this many while closing, lest a flood keeps the listener open: all that can be queued
     * and as many that arrive meanwhile. */
    LAST_BATCH = 2 * BACKLOG,
    PAUSE_MS = 100,
    PORT_TRIES = 20,
    LOCK_TRIES = 100, /* of 10 ms */
};

/* --- sockets -------------------------------------------------------------------------------------
 */

static const char *why_not(int problem, const struct address *address)
{
    bool is_local = address->as.any.sa_family == AF_UNIX;
    switch (problem) {
    case EADDRINUSE:
        return is_local ? "another process is listening there: stop it or choose another path"
                        : "something else is listening there: stop it or choose another port";
    case EEXIST:
        return "there is a file of that name which is no socket: remove it or choose another path";
    case EACCES:
    case EPERM:
        return is_local ? "permission denied: this user must be able to write to the folder"
                        : "permission denied: ports below 1024 need CAP_NET_BIND_SERVICE, which is "
                          "given up at start unless the route file names such a port then: restart "
                          "the gateway, with that right, or lower "
                          "net.ipv4.ip_unprivileged_port_start, or choose a port from 1024 on";
    case EADDRNOTAVAIL: return "no interface of this machine has that address";
    case EAFNOSUPPORT: return "this machine has no IPv6: listen on an IPv4 address";
    case EMFILE:
    case ENFILE: return "too many open files: raise the limit (ulimit -n, LimitNOFILE=)";
    case ENOENT:
    case ENOTDIR: return "the folder does not exist: make it or choose another path";
    case EROFS: return "the file system is read-only: choose another path";
    default: return strerror(problem);
    }
}

/* Closes `fd` and says that the address cannot be had. */
static int give_up(int fd, const struct address *address, int problem, struct error *error)
{
    char text[ADDRESS_TEXT_SIZE];
    address_format(address, text);
    error_set(error, "cannot listen on %s: %s", text, why_not(problem, address));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_socket(const struct address *address)
{
    return socket(address->as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static bool bind_tcp(int fd, const struct address *address)
{
    /* IPv4 has a socket of its own: a dual one could not tell that somebody holds the port there.
     */
    if (address->as.any.sa_family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY))
        return false;
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR) &&
           bind(fd, &address->as.any, address->length) == 0;
}

/* The first socket claims the port for itself alone: bind and listen fail if anybody has it, even
 * with SO_REUSEPORT. Only then the option is set, so that our further sockets may join. There is no
 * moment in between at which two gateways could both believe that the port is theirs. */
static int open_tcp(struct address *address, struct error *error)
{
    int fd = open_socket(address);
    if (fd < 0)
        return give_up(fd, address, errno, error);
    if (!bind_tcp(fd, address) || listen(fd, BACKLOG) < 0 ||
        !set_option(fd, SOL_SOCKET, SO_REUSEPORT))
        return give_up(fd, address, errno, error);
    socklen_t length = sizeof(address->as);
    if (getsockname(fd, &address->as.any, &length) < 0)
        return give_up(fd, address, errno, error);
    return fd;
}

int listen_socket_share(const struct address *address, struct error *error)
{
    assert(address->as.any.sa_family != AF_UNIX && address_port(address) != 0);
    int fd = open_socket(address);
    if (fd < 0)
        return give_up(fd, address, errno, error);
    if (!set_option(fd, SOL_SOCKET, SO_REUSEPORT) || !bind_tcp(fd, address) ||
        listen(fd, BACKLOG) < 0)
        return give_up(fd, address, errno, error);
    return fd;
}

/* One who sets up a socket in a folder holds its lock, so that two who start at once do not both
 * find a dead socket there and replace each other's. -1: it cannot be locked, which nothing hangs
 * on. */
static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    size_t length = (size_t)slice_find_last(slice_of(path), '/');
    slice_copy_text(slice_make(path, length > 0 ? length : 1), folder, sizeof(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return fd;
}

/* Removes a socket that nobody listens on. 0: the path is free now; else an errno. */
static int clear_path(const struct address *address)
{
    struct stat status;
    const char *path = address->as.local.sun_path;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(status.st_mode))
        return EEXIST;
    int fd = open_socket(address);
    if (fd < 0)
        return errno;
    int answer = connect(fd, &address->as.any, address->length) < 0 ? errno : 0;
    close(fd);
    if (answer != ECONNREFUSED)
        return answer == 0 || answer == EAGAIN ? EADDRINUSE : answer;
    return unlink(path) < 0 ? errno : 0;
}

/* The mode of the socket inode, less the umask, is what bind gives the file, so that nobody else
 * can connect even for a moment; chmod adds what the umask took. */
static bool bind_local(int fd, const struct address *address, unsigned mode)
{
    if (fchmod(fd, mode) < 0 || bind(fd, &address->as.any, address->length) < 0)
        return false;
    if (chmod(address->as.local.sun_path, mode) == 0 && listen(fd, BACKLOG) == 0)
        return true;
    int problem = errno;
    unlink(address->as.local.sun_path);
    errno = problem;
    return false;
}

static int open_local(const struct address *address, unsigned mode, struct error *error)
{
    const char *path = address->as.local.sun_path;
    int lock = lock_folder(path), fd = -1;
    int problem = clear_path(address);
    if (problem == 0) {
        fd = open_socket(address);
        if (fd < 0 || !bind_local(fd, address, mode))
            problem = errno;
    }
    if (lock >= 0)
        close(lock);
    return problem == 0 ? fd : give_up(fd, address, problem, error);
}

int listen_socket_open(struct address *address, unsigned mode, struct error *error)
{
    assert(address->length > 0);
    if (address->as.any.sa_family == AF_UNIX)
        return open_local(address, mode, error);
    return open_tcp(address, error);
}

/* The first address with port 0 gets some free port; the others take the same. */
static bool open_all(struct address *addresses, int count, unsigned mode, int *fds,
                     struct error *error)
{
    uint16_t port = 0;
    for (int i = 0; i < count; i++) {
        bool any_port =
            addresses[i].as.any.sa_family != AF_UNIX && address_port(&addresses[i]) == 0;
        if (any_port && port != 0)
            address_set_port(&addresses[i], port);
        fds[i] = listen_socket_open(&addresses[i], mode, error);
        if (fds[i] < 0) {
            while (i-- > 0)
                close(fds[i]);
            return false;
        }
        if (any_port)
            port = address_port(&addresses[i]);
    }
    return true;
}

bool listen_sockets_open(struct address *addresses, int count, unsigned mode, int *fds,
                         struct error *error)
{
    bool any_port = false;
    struct address tried[2];
    assert(count >= 1 && count <= 2);
    for (int i = 0; i < count; i++)
        any_port = any_port ||
                   (addresses[i].as.any.sa_family != AF_UNIX && address_port(&addresses[i]) == 0);
    /* A port that is free in one family may be taken in the other. */
    for (int tries = any_port ? PORT_TRIES : 1; tries > 0; tries--) {
        memcpy(tried, addresses, (size_t)count * sizeof(*addresses));
        if (open_all(tried, count, mode, fds, error)) {
            memcpy(addresses, tried, (size_t)count * sizeof(*addresses));
            return true;
        }
    }
    return false;
}

/* --- accepting -----------------------------------------------------------------------------------
 */

struct listener {
    struct loop *loop;
    int fd;
    struct ev_io watcher;
    struct task task;     /* patient: connections are accepted as fast as handshakes get done */
    struct task farewell; /* accepts what is left, and closes */
    struct deadline pause;
    unsigned most;        /* of the next batch */
    uint64_t reported_at; /* loop_sleeps() at the last event */
    void (*on_accept)(void *owner, const struct accepted *accepted);
    void *owner;
    struct address local; /* what it is bound to */
    bool is_wildcard;     /* so that each accepted socket has to be asked for its own address */
    bool is_paused;
};

enum accept_step { ACCEPTED, ACCEPT_AGAIN, ACCEPT_NONE, ACCEPT_EXHAUSTED };

static bool is_wildcard(const struct address *address)
{
    if (address->as.any.sa_family == AF_INET)
        return address->as.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return address->as.any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->as.v6.sin6_addr);
}

static void read_local_address(int fd, struct address *local)
{
    local->length = sizeof(local->as);
    if (getsockname(fd, &local->as.any, &local->length) < 0)
        local->length = 0;
}

static enum accept_step accept_one(struct listener *listener)
{
    struct accepted accepted = {.peer.length = sizeof(accepted.peer.as), .local = listener->local};
    accepted.fd = accept4(listener->fd, &accepted.peer.as.any, &accepted.peer.length,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted.fd >= 0) {
        if (listener->is_wildcard)
            read_local_address(accepted.fd, &accepted.local);
        listener->on_accept(listener->owner, &accepted);
        return ACCEPTED;
    }
    switch (errno) {
    case EAGAIN: return ACCEPT_NONE;
    /* The connection broke before it was taken (accept(2) lists them): on to the next. */
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET: return ACCEPT_AGAIN;
    default: return ACCEPT_EXHAUSTED;
    }
}

/* Listeners that are paused, in the whole process: descriptors are wanting for all at once, and the
 * operator hears of it once. */
static atomic_uint paused_count;

static void start_pause(struct listener *listener, int problem)
{
    if (!listener->is_paused && atomic_fetch_add(&paused_count, 1) == 0)
        log_event(LOG_WARN, "accept.paused",
                  "new connections have to wait: %s; raise the limit on open files",
                  strerror(problem));
    listener->is_paused = true;
    ev_io_stop(loop_ev(listener->loop), &listener->watcher);
    deadline_set(listener->loop, &listener->pause, PAUSE_MS);
}

/* The queue was emptied: what was wanting is there again. */
static void end_pause(struct listener *listener)
{
    if (!listener->is_paused)
        return;
    listener->is_paused = false;
    if (atomic_fetch_sub(&paused_count, 1) == 1)
        log_event(LOG_INFO, "accept.resumed", "new connections are accepted again");
    deadline_clear(&listener->pause);
    ev_io_start(loop_ev(listener->loop), &listener->watcher);
}

static enum accept_step accept_batch(struct listener *listener, unsigned most)
{
    enum accept_step step = ACCEPT_AGAIN;
    for (unsigned i = 0; i < most && (step == ACCEPTED || step == ACCEPT_AGAIN); i++)
        step = accept_one(listener);
    return step;
}

static void finish_closing(void *owner)
{
    struct listener *listener = owner;
    accept_batch(listener, LAST_BATCH);
    end_pause(listener);
    ev_io_stop(loop_ev(listener->loop), &listener->watcher);
    close(listener->fd);
    loop_bury(listener->loop, &listener->task, free);
}

/* A batch that is full does not ask the kernel whether there are more: the watcher will say so.
 * Only one of BATCH goes on by itself, and one while the watcher rests. */
static void run_listener(void *owner)
{
    struct listener *listener = owner;
    unsigned most = listener->is_paused ? BATCH : listener->most;
    enum accept_step step = accept_batch(listener, most);
    if (step == ACCEPT_EXHAUSTED) {
        start_pause(listener, errno);
    } else if (step == ACCEPT_NONE) {
        listener->reported_at = 0; /* the next event begins anew */
        end_pause(listener);
    } else if (most == BATCH) {
        loop_wake(listener->loop, &listener->task);
    }
}

/* Mostly one comes at a time. Where there is something at one poll after the other, more are
 * queued than were taken: twice as many, then. */
static void on_connection(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct listener *listener = watcher->data;
    uint64_t now = loop_sleeps(listener->loop);
    (void)ev, (void)events;
    if (now != listener->reported_at + 1)
        listener->most = 1;
    else if (listener->most < BATCH)
        listener->most *= 2;
    listener->reported_at = now;
    loop_wake(listener->loop, &listener->task);
}

struct listener *listener_new(struct loop *loop, int fd,
                              void (*on_accept)(void *owner, const struct accepted *accepted),
                              void *owner)
{
    struct listener *listener = memory_new(sizeof(*listener));
    listener->loop = loop;
    listener->fd = fd;
    listener->most = 1;
    listener->on_accept = on_accept;
    listener->owner = owner;
    read_local_address(fd, &listener->local);
    listener->is_wildcard = is_wildcard(&listener->local);
    /* Accepted sockets inherit it. */
    if (listener->local.as.any.sa_family != AF_UNIX)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    task_init(&listener->task, run_listener, listener);
    listener->task.is_patient = true;
    task_init(&listener->farewell, finish_closing, listener);
    deadline_init(&listener->pause, &listener->task);
    ev_io_init(&listener->watcher, on_connection, fd, EV_READ);
    listener->watcher.data = listener;
    ev_io_start(loop_ev(loop), &listener->watcher);
    return listener;
}

void listener_close(struct listener *listener)
{
    loop_wake(listener->loop, &listener->farewell);
}

bool listener_is_paused(const struct listener *listener)
{
    return listener->is_paused;
}
