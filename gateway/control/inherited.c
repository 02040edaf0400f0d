#include "control/inherited.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3, NAME_SIZE = 256 };

struct inherited_socket {
    int fd;
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    char name[NAME_SIZE]; /* what the manager calls it, or "unknown" */
    bool is_dual;         /* IPv6 that takes IPv4 as well */
    unsigned uses;
    bool is_warned_of;
};

struct inherited {
    struct inherited_socket *list;
    unsigned count;
};

/* --- what there is -------------------------------------------------------------------------------
 */

static bool option_is_on(int fd, int level, int option)
{
    int value = 0;
    socklen_t size = sizeof(value);
    return getsockopt(fd, level, option, &value, &size) == 0 && value != 0;
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* The flags of an open file are everybody's who has it, and so is this one; managers set it
 * themselves. With several workers one of them always finds the queue empty. */
static bool make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* NULL: it can be listened on; else why not. */
static const char *look_at(struct inherited_socket *socket)
{
    struct address *address = &socket->address;
    address->length = sizeof(address->as);
    if (fcntl(socket->fd, F_SETFD, FD_CLOEXEC) < 0)
        return "it is not open";
    if (!is_stream(socket->fd) || !option_is_on(socket->fd, SOL_SOCKET, SO_ACCEPTCONN))
        return "it is no stream socket that listens";
    if (getsockname(socket->fd, &address->as.any, &address->length) < 0 ||
        !make_nonblocking(socket->fd))
        return strerror(errno);
    int family = address->as.any.sa_family;
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
        return "it is of a family that is not spoken here";
    address_format(address, socket->text);
    socket->is_dual = family == AF_INET6 && !option_is_on(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return NULL;
}

/* Takes the next of the names, which colons separate, off the front of `names`. */
static void take_name(struct slice *names, char name[NAME_SIZE])
{
    ptrdiff_t colon = slice_find(*names, ':');
    size_t length = colon >= 0 ? (size_t)colon : names->len;
    slice_copy_text(length > 0 ? slice_make(names->at, length) : slice_of("unknown"), name,
                    NAME_SIZE);
    *names = slice_skip(*names, colon >= 0 ? length + 1 : length);
}

static void take_sockets(struct inherited *inherited, unsigned count, struct slice names)
{
    for (unsigned i = 0; i < count; i++) {
        struct inherited_socket socket = {.fd = FIRST_FD + (int)i};
        take_name(&names, socket.name);
        const char *why = look_at(&socket);
        if (why != NULL) {
            log_event(LOG_WARN, "socket_ignored", "descriptor %d (%s), handed over, is ignored: %s",
                      socket.fd, socket.name, why);
            continue;
        }
        inherited->list =
            memory_resize(inherited->list, (inherited->count + 1) * sizeof(*inherited->list));
        inherited->list[inherited->count++] = socket;
        log_event(LOG_INFO, "socket_handed_over", "%s (%s) was handed over by the service manager",
                  socket.text, socket.name);
    }
}

/* --- the environment -----------------------------------------------------------------------------
 */

static unsigned count_names(const char *names)
{
    unsigned count = 1;
    for (; *names != '\0'; names++)
        count += *names == ':';
    return count;
}

/* How many descriptors are for this process. */
static unsigned read_count(void)
{
    const char *fds = getenv("LISTEN_FDS"), *whose = getenv("LISTEN_PID");
    uint64_t count = 0, pid = 0;
    if (fds == NULL || whose == NULL)
        return 0;
    if (!slice_parse_u64(slice_of(whose), &pid)) {
        log_event(LOG_WARN, "systemd", "LISTEN_PID is ignored: \"%s\" is no process", whose);
        return 0;
    }
    if (pid != (uint64_t)getpid())
        return 0;
    long most = sysconf(_SC_OPEN_MAX);
    if (!slice_parse_u64(slice_of(fds), &count) || count > INT_MAX || (long)count > most) {
        log_event(LOG_WARN, "systemd", "LISTEN_FDS is ignored: \"%s\" is no count of descriptors",
                  fds);
        return 0;
    }
    return (unsigned)count;
}

struct inherited *inherited_new(void)
{
    unsigned count = read_count();
    const char *names = getenv("LISTEN_FDNAMES");
    if (count > 0 && names != NULL && count_names(names) != count) {
        log_event(LOG_WARN, "systemd", "LISTEN_FDNAMES is ignored: it has %u names for %u sockets",
                  count_names(names), count);
        names = NULL;
    }
    struct inherited *inherited = NULL;
    if (count > 0) {
        inherited = memory_new(sizeof(*inherited));
        take_sockets(inherited, count, slice_of(names != NULL ? names : ""));
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return inherited;
}

void inherited_free(struct inherited *inherited)
{
    if (inherited == NULL)
        return;
    for (unsigned i = 0; i < inherited->count; i++)
        close(inherited->list[i].fd);
    free(inherited->list);
    free(inherited);
}

/* --- looking for one -----------------------------------------------------------------------------
 */

struct inherited_socket *inherited_find(struct inherited *inherited, const struct address *address)
{
    for (unsigned i = 0; inherited != NULL && i < inherited->count; i++)
        if (address_equal(&inherited->list[i].address, address))
            return &inherited->list[i];
    return NULL;
}

bool inherited_covers(const struct inherited_socket *socket, const struct address *address)
{
    return socket->is_dual && IN6_IS_ADDR_UNSPECIFIED(&socket->address.as.v6.sin6_addr) &&
           address->as.any.sa_family == AF_INET &&
           address->as.v4.sin_addr.s_addr == htonl(INADDR_ANY) &&
           address_port(address) == address_port(&socket->address);
}

void inherited_explain(const struct inherited *inherited, const struct address *address,
                       struct error *error)
{
    uint16_t port = address_port(address);
    for (unsigned i = 0; inherited != NULL && port != 0 && i < inherited->count; i++) {
        const struct inherited_socket *socket = &inherited->list[i];
        if (address_port(&socket->address) != port)
            continue;
        error_prefix(error,
                     "%s was handed over by the service manager, and nothing else can be "
                     "used of its port",
                     socket->text);
        return;
    }
}

/* --- using it ------------------------------------------------------------------------------------
 */

int inherited_duplicate(const struct inherited_socket *socket, struct error *error)
{
    int fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, FIRST_FD);
    if (fd < 0)
        error_set(error, "cannot listen on %s, which was handed over: %s", socket->text,
                  strerror(errno));
    return fd;
}

void inherited_use(struct inherited_socket *socket)
{
    if (socket == NULL)
        return;
    socket->uses++;
    socket->is_warned_of = false;
}

void inherited_release(struct inherited_socket *socket)
{
    if (socket == NULL)
        return;
    assert(socket->uses > 0);
    socket->uses--;
}

void inherited_warn_unused(struct inherited *inherited)
{
    for (unsigned i = 0; inherited != NULL && i < inherited->count; i++) {
        struct inherited_socket *socket = &inherited->list[i];
        if (socket->uses > 0 || socket->is_warned_of)
            continue;
        socket->is_warned_of = true;
        log_event(LOG_WARN, "socket_unused",
                  "%s (%s) was handed over by the service manager, but no listener of the route "
                  "file has that address: who connects there waits",
                  socket->text, socket->name);
    }
}
