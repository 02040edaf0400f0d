/* A backend that costs next to nothing: one thread, GET /1k, /100k, /10m or /64m, the answer is
 * 'x'es; /kept-1k and /kept-1m are ones that caches keep; /count is how many requests for others
 * have come; /hold is never answered.
 *
 * Prints its port on 127.0.0.1 and serves until it is killed. Connections stay open. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 8192, EVENTS = 256, COUNT_DIGITS = 12 };

/* A whole response, head included, made once. */
struct answer {
    const char *path;
    const char *fields; /* of its head, each with its end of line; NULL: none */
    size_t body_bytes;
    char *bytes;
    size_t length;
    bool is_count, never_comes;
};

/* What files of a site are sent with. */
#define KEPT_FIELDS                                                              \
    "Date: Sun, 29 Nov 2026 00:00:00 GMT\r\nContent-Type: text/css\r\n"          \
    "Last-Modified: Mon, 02 Nov 2026 08:00:00 GMT\r\nETag: \"65f0c0de-400\"\r\n" \
    "Cache-Control: public, max-age=31536000\r\n"

static struct answer answers[] = {
    {.path = "/1k ", .body_bytes = 1024},
    {.path = "/100k ", .body_bytes = 100 * 1024},
    {.path = "/10m ", .body_bytes = 10 * 1024 * 1024},
    {.path = "/64m ", .body_bytes = 64 * 1024 * 1024},
    {.path = "/kept-1k ", .fields = KEPT_FIELDS, .body_bytes = 1024},
    {.path = "/kept-1m ", .fields = KEPT_FIELDS, .body_bytes = 1024 * 1024},
    {.path = "/count ",
     .fields = "Cache-Control: no-store\r\n",
     .body_bytes = COUNT_DIGITS,
     .is_count = true},
    {.path = "/hold ", .never_comes = true},
    {.path = NULL}, /* anything else: 404 */
};

struct peer {
    int fd;
    size_t length;               /* of what is in `request` */
    const struct answer *answer; /* being sent; NULL: none */
    size_t sent;
    size_t body_left; /* of the request, still to come: the answer is behind it */
    bool is_waiting;  /* for room to send */
    char request[REQUEST_BYTES];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void make_answers(void)
{
    for (struct answer *a = answers;; a++) {
        char head[512];
        int head_bytes =
            snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n",
                     a->path != NULL ? "200 OK" : "404 Not Found",
                     a->fields != NULL ? a->fields : "", a->body_bytes);
        a->length = (size_t)head_bytes + a->body_bytes;
        a->bytes = malloc(a->length);
        if (a->bytes == NULL)
            fail("malloc");
        memcpy(a->bytes, head, (size_t)head_bytes);
        memset(a->bytes + head_bytes, 'x', a->body_bytes);
        if (a->path == NULL)
            return;
    }
}

/* Of the head, which ends there. */
static size_t read_length(const char *head)
{
    const char *field = strcasestr(head, "\ncontent-length:");
    return field == NULL ? 0 : strtoul(field + strlen("\ncontent-length:"), NULL, 10);
}

/* Of requests, those for the number aside, which it puts into that answer. */
static void count_request(const struct answer *answer)
{
    static unsigned count;
    char digits[COUNT_DIGITS + 1];

    if (!answer->is_count) {
        count++;
        return;
    }
    snprintf(digits, sizeof(digits), "%0*u", COUNT_DIGITS, count);
    memcpy(answer->bytes + answer->length - COUNT_DIGITS, digits, COUNT_DIGITS);
}

/* Takes a complete request head off the front of what was read. False: there is nothing to answer.
 */
static bool take_request(struct peer *peer)
{
    char *end = memmem(peer->request, peer->length, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    const struct answer *a = answers;
    while (a->path != NULL && memmem(peer->request, 64, a->path, strlen(a->path)) == NULL)
        a++;
    count_request(a);
    peer->answer = a->never_comes ? NULL : a;
    peer->sent = 0;
    *end = '\0';
    size_t body = read_length(peer->request),
           here = peer->length - (size_t)(end + 4 - peer->request);
    if (here > body)
        here = body;
    peer->body_left = body - here;
    size_t taken = (size_t)(end + 4 - peer->request) + here;
    peer->length -= taken;
    memmove(peer->request, peer->request + taken, peer->length);
    return !a->never_comes;
}

static void watch(int epoll, int how, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(epoll, how, peer->fd, &event) != 0)
        fail("epoll_ctl");
}

/* False when the peer has gone. */
static bool send_answer(int epoll, struct peer *peer)
{
    while (peer->sent < peer->answer->length) {
        ssize_t sent = send(peer->fd, peer->answer->bytes + peer->sent,
                            peer->answer->length - peer->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0) {
            if (!peer->is_waiting)
                watch(epoll, EPOLL_CTL_MOD, peer, EPOLLOUT);
            peer->is_waiting = true;
            return true;
        }
        peer->sent += (size_t)sent;
    }
    peer->answer = NULL;
    if (peer->is_waiting)
        watch(epoll, EPOLL_CTL_MOD, peer, EPOLLIN);
    peer->is_waiting = false;
    return true;
}

/* False when the peer has gone. */
static bool drop_body(struct peer *peer)
{
    static char drop[256 * 1024];
    size_t room = peer->body_left < sizeof(drop) ? peer->body_left : sizeof(drop);
    ssize_t got = recv(peer->fd, drop, room, MSG_DONTWAIT);
    if (got > 0)
        peer->body_left -= (size_t)got;
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static bool serve(int epoll, struct peer *peer)
{
    if (peer->body_left > 0) {
        if (!drop_body(peer))
            return false;
        if (peer->body_left > 0)
            return true;
    }
    if (peer->answer == NULL) {
        ssize_t got = recv(peer->fd, peer->request + peer->length,
                           sizeof(peer->request) - peer->length, MSG_DONTWAIT);
        if (got < 0)
            return errno == EAGAIN;
        if (got == 0)
            return false;
        peer->length += (size_t)got;
    } else if (!send_answer(epoll, peer)) {
        return false;
    }
    while (peer->answer == NULL && take_request(peer)) {
        if (peer->body_left > 0)
            return true;
        if (!send_answer(epoll, peer))
            return false;
    }
    return peer->length < sizeof(peer->request);
}

static void accept_peer(int epoll, int listener)
{
    int on = 1, fd = accept(listener, NULL, NULL);
    struct peer *peer = calloc(1, sizeof(*peer));
    if (fd < 0 || peer == NULL)
        fail("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    peer->fd = fd;
    watch(epoll, EPOLL_CTL_ADD, peer, EPOLLIN);
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    struct peer listener = {0};
    int epoll = epoll_create1(0);
    make_answers();
    listener.fd = listen_anywhere();
    watch(epoll, EPOLL_CTL_ADD, &listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == &listener) {
                accept_peer(epoll, listener.fd);
            } else if (!serve(epoll, peer)) {
                close(peer->fd);
                free(peer);
            }
        }
    }
}
