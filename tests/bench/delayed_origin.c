/* Servers that take their time: one thread, a port for each delay. A request is answered with
 * 1 KiB once its server's delay is over, however many others wait there; waiting costs nothing.
 * GET /count is answered at once: how many others there were.
 *
 * usage: delayed_origin DELAY_US...
 *
 * Prints its ports on 127.0.0.1, a line each, and serves until it is killed. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES = 8192, BODY_BYTES = 1024, EVENTS = 256 };

struct server {
    int listener;
    long long delay_ns;
    unsigned long count;
    struct peer *first, *last; /* who waits, in the order in which their time is over */
};

struct peer {
    struct server *server;
    int fd; /* -1: this stands for the server's listener */
    bool is_waiting;
    long long due_ns;
    struct peer *next;
    size_t length; /* of what is in `request` */
    char request[REQUEST_BYTES];
};

static char answer[BODY_BYTES + 128];
static size_t answer_bytes;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static bool say(const struct peer *peer, const char *bytes, size_t length)
{
    return send(peer->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

static bool say_count(const struct peer *peer)
{
    char digits[32], text[128];
    int length = snprintf(digits, sizeof(digits), "%lu", peer->server->count);
    length = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length,
                      digits);
    return say(peer, text, (size_t)length);
}

static void let_wait(struct peer *peer)
{
    struct server *server = peer->server;
    server->count++;
    peer->is_waiting = true;
    peer->due_ns = now_ns() + server->delay_ns;
    peer->next = NULL;
    if (server->first == NULL)
        server->first = peer;
    else
        server->last->next = peer;
    server->last = peer;
}

/* Reads one request, if there is one; false when the peer has gone. */
static bool serve(struct peer *peer)
{
    while (!peer->is_waiting) {
        ssize_t got = recv(peer->fd, peer->request + peer->length,
                           sizeof(peer->request) - peer->length, MSG_DONTWAIT);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        peer->length += (size_t)got;
        if (memmem(peer->request, peer->length, "\r\n\r\n", 4) == NULL)
            continue;
        bool asks_count = strncmp(peer->request, "GET /count ", 11) == 0;
        peer->length = 0;
        if (!asks_count)
            let_wait(peer);
        else if (!say_count(peer))
            return false;
    }
    return true; /* its end is seen once it has its answer */
}

static void drop(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static void answer_those_due(struct server *server)
{
    while (server->first != NULL && server->first->due_ns <= now_ns()) {
        struct peer *peer = server->first;
        server->first = peer->next;
        peer->is_waiting = false;
        if (!say(peer, answer, answer_bytes) || !serve(peer))
            drop(peer);
    }
}

static void watch(int epoll, int fd, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_peer(int epoll, struct server *server)
{
    int on = 1, fd = accept(server->listener, NULL, NULL);
    struct peer *peer = calloc(1, sizeof(*peer));
    if (fd < 0 || peer == NULL)
        fail("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    peer->fd = fd;
    peer->server = server;
    /* Told once: who waits is not read from, and may say what it likes. */
    watch(epoll, fd, peer, EPOLLIN | EPOLLET);
}

static void open_server(int epoll, struct server *server, const char *delay_us)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    struct peer *stand_in = calloc(1, sizeof(*stand_in));
    server->delay_ns = atoll(delay_us) * 1000;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (stand_in == NULL || server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, length) != 0 ||
        listen(server->listener, 1024) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0)
        fail("listen");
    stand_in->server = server;
    stand_in->fd = -1;
    watch(epoll, server->listener, stand_in, EPOLLIN);
    printf("%d\n", ntohs(address.sin_port));
}

/* Waits for events, or until somebody's time is over. */
static int await_events(int epoll, struct epoll_event *events, const struct server *servers,
                        int server_count)
{
    long long due_ns = -1;
    for (int i = 0; i < server_count; i++) {
        const struct peer *first = servers[i].first;
        if (first != NULL && (due_ns < 0 || first->due_ns < due_ns))
            due_ns = first->due_ns;
    }
    long long left_ns = due_ns - now_ns();
    if (left_ns < 0)
        left_ns = 0;
    struct timespec timeout = {left_ns / 1000000000, left_ns % 1000000000};
    return epoll_pwait2(epoll, events, EVENTS, due_ns < 0 ? NULL : &timeout, NULL);
}

int main(int argc, char **argv)
{
    int epoll = epoll_create1(0), server_count = argc - 1;
    struct server *servers = calloc((size_t)argc, sizeof(*servers));
    for (int i = 0; i < server_count; i++)
        open_server(epoll, &servers[i], argv[i + 1]);
    fflush(stdout);
    answer_bytes = (size_t)snprintf(answer, sizeof(answer),
                                    "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
    memset(answer + answer_bytes, 'x', BODY_BYTES);
    answer_bytes += BODY_BYTES;
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = await_events(epoll, events, servers, server_count);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer->fd < 0)
                accept_peer(epoll, peer->server);
            else if (!serve(peer))
                drop(peer);
        }
        for (int i = 0; i < server_count; i++)
            answer_those_due(&servers[i]);
    }
}
