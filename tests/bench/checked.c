/* Ten thousand servers that cost next to nothing: one thread answers every request with "ok" on all
 * addresses of loopback, and remembers when each was checked.
 *
 * Prints its port and serves until its standard input ends. Then it prints a line for each request
 * for /check: when it came, in microseconds of the monotonic clock, and to which address. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES = 2048, EVENTS = 256 };

struct check {
    long long at_us;
    struct in_addr server;
};

static struct check *checks;
static size_t check_count, check_room;

struct peer {
    int fd;
    size_t length; /* of what is in `request` */
    char request[REQUEST_BYTES];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void note_check(int fd)
{
    struct timespec now;
    struct sockaddr_in server = {0};
    socklen_t length = sizeof(server);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (getsockname(fd, (struct sockaddr *)&server, &length) != 0)
        fail("getsockname");
    if (check_count == check_room) {
        check_room = check_room * 2 + 4096;
        checks = realloc(checks, check_room * sizeof(*checks));
        if (checks == NULL)
            fail("realloc");
    }
    checks[check_count++] = (struct check){
        .at_us = now.tv_sec * 1000000LL + now.tv_nsec / 1000,
        .server = server.sin_addr,
    };
}

static void tell_checks(void)
{
    for (size_t i = 0; i < check_count; i++)
        printf("%lld %s\n", checks[i].at_us, inet_ntoa(checks[i].server));
}

/* False when the connection is over. */
static bool serve(struct peer *peer)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static const char path[] = "GET /check ";
    ssize_t got =
        recv(peer->fd, peer->request + peer->length, REQUEST_BYTES - peer->length, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    peer->length += (size_t)got;
    char *end = memmem(peer->request, peer->length, "\r\n\r\n", 4);
    if (end == NULL)
        return peer->length < REQUEST_BYTES;
    if (strncmp(peer->request, path, sizeof(path) - 1) == 0)
        note_check(peer->fd);
    peer->length = 0; /* nobody asks ahead */
    return send(peer->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) == sizeof(answer) - 1;
}

static void watch(int epoll, struct peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_peer(int epoll, int listener)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || peer == NULL)
        fail("accept");
    peer->fd = fd;
    watch(epoll, peer);
}

static int listen_everywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    struct peer listener = {0}, input = {.fd = STDIN_FILENO};
    int epoll = epoll_create1(0);
    listener.fd = listen_everywhere();
    watch(epoll, &listener);
    watch(epoll, &input);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == &input) {
                tell_checks();
                return 0;
            }
            if (peer == &listener) {
                accept_peer(epoll, listener.fd);
            } else if (!serve(peer)) {
                close(peer->fd);
                free(peer);
            }
        }
    }
}
