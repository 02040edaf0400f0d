#include "support/loopback.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int bind_any(struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(fd >= 0);
    *address = (struct address){.length = sizeof(address->as.v4)};
    address->as.v4.sin_family = AF_INET;
    address->as.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int failed = bind(fd, &address->as.any, address->length);
    assert(failed == 0);
    failed = getsockname(fd, &address->as.any, &address->length);
    assert(failed == 0);
    return fd;
}

int loopback_listen(struct address *address)
{
    int fd = bind_any(address);
    int failed = listen(fd, 128);
    assert(failed == 0);
    return fd;
}

int loopback_refuse(struct address *address)
{
    return bind_any(address);
}

/* Connects without waiting; true when that succeeded within a moment. */
static bool fill_one(struct loopback_hang *hang, const struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert(fd >= 0);
    hang->fillers[hang->filler_count++] = fd;
    if (connect(fd, &address->as.any, address->length) == 0)
        return true;
    assert(errno == EINPROGRESS);
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, 100) == 1;
}

void loopback_hang(struct loopback_hang *hang, struct address *address)
{
    hang->listener = bind_any(address);
    hang->filler_count = 0;
    int failed = listen(hang->listener, 0);
    assert(failed == 0);
    while (fill_one(hang, address))
        assert(hang->filler_count < 16);
}

void loopback_hang_end(struct loopback_hang *hang)
{
    for (int i = 0; i < hang->filler_count; i++)
        close(hang->fillers[i]);
    close(hang->listener);
}

int loopback_listen_unix(const char *path, int backlog, struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(fd >= 0);
    *address = (struct address){.length = sizeof(address->as.local)};
    address->as.local.sun_family = AF_UNIX;
    snprintf(address->as.local.sun_path, sizeof(address->as.local.sun_path), "%s", path);
    int failed = bind(fd, &address->as.any, address->length);
    assert(failed == 0);
    failed = listen(fd, backlog);
    assert(failed == 0);
    return fd;
}

int open_fd_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert(folder != NULL);
    int count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}
