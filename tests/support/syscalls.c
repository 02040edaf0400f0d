#include "support/syscalls.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct syscall_counts syscall_counts;

static void count(unsigned *which)
{
    __atomic_fetch_add(which, 1, __ATOMIC_RELAXED);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    count(&syscall_counts.epoll_ctl);
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

ssize_t recv(int fd, void *into, size_t room, int flags)
{
    count(&syscall_counts.recv);
    return syscall(SYS_recvfrom, fd, into, room, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    count(&syscall_counts.send);
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    count(&syscall_counts.accept4);
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}

int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    count(&syscall_counts.getsockname);
    return (int)syscall(SYS_getsockname, fd, address, length);
}
