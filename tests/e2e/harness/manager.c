#include "manager.h"

#include "monitor.h"
#include "workplace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 4096 };

struct manager {
    int fd;
    char *setting;
    struct gateway *gateway; /* NULL: from anybody */
    long long since_us;      /* no time in a message may be earlier */
};

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void manager_free(void *object)
{
    struct manager *manager = object;

    close(manager->fd);
    free(manager);
}

struct manager *manager_new(const char *name)
{
    struct manager *manager = workplace_own(calloc(1, sizeof *manager), manager_free);
    const char *path = name[0] == '@' ? name : workplace_path("%s", name);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    int patience = monitor_patience_ms(), on = 1;
    struct timeval limit = {patience / 1000, patience % 1000 * 1000};

    memcpy(at.sun_path, path, strlen(path));
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    manager->setting = text("NOTIFY_SOCKET=%s", path);
    manager->since_us = now_us();
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    workplace_require(manager->fd >= 0 && bind(manager->fd, (void *)&at, length) == 0,
                      "no socket at %s: %s", path, strerror(errno));
    setsockopt(manager->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(manager->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    return manager;
}

const char *manager_setting(struct manager *manager)
{
    return manager->setting;
}

void manager_watch(struct manager *manager, struct gateway *gateway)
{
    manager->gateway = gateway;
}

void manager_note_time(struct manager *manager)
{
    manager->since_us = now_us();
}

/* The sender, as the kernel knows it. */
static pid_t sender_of(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        struct ucred sender;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&sender, CMSG_DATA(part), sizeof sender);
        return sender.pid;
    }
    return 0;
}

static void check_form(struct manager *manager, const char *message)
{
    const char *line = message, *end;
    bool reloads = strstr(message, "RELOADING=1\n") != NULL;
    const char *time = strstr(message, "MONOTONIC_USEC=");
    long long now = now_us();

    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        const char *equals = memchr(line, '=', (size_t)(end - line));
        workplace_require(equals != NULL && equals > line && equals + 1 < end,
                          "not a NAME=VALUE: %s", message);
    }
    workplace_require(*line == '\0' && line > message, "the last line has no end: %s", message);
    workplace_require(reloads == (time != NULL), "a time belongs to RELOADING=1: %s", message);
    if (time != NULL) {
        long long when = atoll(time + strlen("MONOTONIC_USEC="));
        workplace_require(when >= manager->since_us && when <= now,
                          "%lld is not between %lld and %lld", when, manager->since_us, now);
        manager->since_us = when;
    }
}

char *manager_receive(struct manager *manager)
{
    char bytes[MESSAGE_SIZE], credentials[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec piece = {bytes, sizeof bytes - 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = credentials,
                             .msg_controllen = sizeof credentials};
    ssize_t length;

    do
        length = recvmsg(manager->fd, &message, 0);
    while (length < 0 && errno == EINTR);
    workplace_require(length >= 0, "the manager is told nothing: %s", strerror(errno));
    bytes[length] = '\0';
    workplace_require(strlen(bytes) == (size_t)length, "a NUL in a message");
    workplace_require(manager->gateway == NULL ||
                          sender_of(&message) == gateway_pid(manager->gateway),
                      "the message comes from somebody else");
    check_form(manager, bytes);
    return text("%s", bytes);
}

static bool is_like(const char *message, const char *expected)
{
    for (; *expected != '\0'; expected++) {
        if (expected[0] == '*' && expected[1] == '\n') {
            size_t rest = strcspn(message, "\n");
            if (rest == 0)
                return false;
            message += rest;
        } else if (*message++ != *expected) {
            return false;
        }
    }
    return *message == '\0';
}

void manager_expect(struct manager *manager, const char *message)
{
    const char *got = manager_receive(manager);

    workplace_require(is_like(got, message), "the manager was told\n%snot\n%s", got, message);
}

void manager_expect_silence(struct manager *manager)
{
    char bytes[MESSAGE_SIZE];
    ssize_t length = recv(manager->fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);

    bytes[length > 0 ? length : 0] = '\0';
    workplace_require(length < 0 && errno == EAGAIN, "the manager was told\n%s", bytes);
}
