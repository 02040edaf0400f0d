#include "bench/around.h"

#include "bench/lockstep.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 32,
    HEAD_BYTES = 4096,
    KIB = 1024,
    MIB = 1024 * KIB,
    PIECE =
        64 *
        KIB, /* sent or read in one turn, so that what the kernel has room for decides nothing */
};

struct connection {
    int fd;
    size_t head_bytes;
    size_t request_left;  /* of the request's body, still to come */
    size_t response_left; /* still to be sent */
    char head[HEAD_BYTES];
};

static int listener;
static struct connection connections[CONNECTIONS_MAX];
static unsigned connection_count;

uint16_t around_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, CONNECTIONS_MAX) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        around_fail("the backend cannot listen");
    return ntohs(address.sin_port);
}

static bool accept_connection(void)
{
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return false;
    if (connection_count == CONNECTIONS_MAX)
        around_fail("the gateway has more connections to its backend than expected");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connections[connection_count++] = (struct connection){.fd = fd};
    return true;
}

static void send_bytes(struct connection *c, const void *bytes, size_t length)
{
    if (send(c->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
        around_fail("the backend cannot send");
}

static void begin_answer(struct connection *c)
{
    char answer[256 + KIB];
    size_t body = strncmp(c->head, "GET /1m ", 8) == 0   ? MIB
                  : strncmp(c->head, "GET /1k ", 8) == 0 ? KIB
                                                         : 0;
    size_t length = (size_t)snprintf(answer, 256,
                                     "HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2026 00:00:00 GMT\r\n"
                                     "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                                     body);

    c->head_bytes = 0;
    if (body == KIB) { /* in one piece with its head, as servers do */
        memset(answer + length, 'x', body);
        length += body;
    }
    send_bytes(c, answer, length);
    c->response_left = body == KIB ? 0 : body;
}

static bool send_more(struct connection *c)
{
    static char piece[PIECE];
    size_t length = c->response_left < PIECE ? c->response_left : PIECE;
    ssize_t sent = send(c->fd, piece, length, MSG_NOSIGNAL);

    if (sent < 0)
        return false;
    c->response_left -= (size_t)sent;
    return true;
}

/* False: nothing is there. */
static bool receive(struct connection *c, char *into, size_t room, size_t *got)
{
    ssize_t result = recv(c->fd, into, room, 0);

    if (result == 0)
        around_fail("the gateway has closed a connection to its backend");
    *got = result > 0 ? (size_t)result : 0;
    return result > 0;
}

static bool read_body(struct connection *c)
{
    static char piece[PIECE];
    size_t got;

    if (!receive(c, piece, c->request_left < PIECE ? c->request_left : PIECE, &got))
        return false;
    c->request_left -= got;
    if (c->request_left == 0)
        begin_answer(c);
    return true;
}

static bool read_head(struct connection *c)
{
    size_t got;

    if (!receive(c, c->head + c->head_bytes, HEAD_BYTES - 1 - c->head_bytes, &got))
        return false;
    c->head_bytes += got;
    c->head[c->head_bytes] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return true;
    const char *field = strcasestr(c->head, "\r\ncontent-length:");
    size_t body =
        field != NULL && field < end ? strtoul(field + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    c->request_left = body - (c->head_bytes - (size_t)(end + 4 - c->head));
    if (c->request_left == 0)
        begin_answer(c);
    return true;
}

static bool serve(void)
{
    bool has_moved = false;

    while (accept_connection())
        has_moved = true;
    for (unsigned i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        if (c->response_left > 0)
            has_moved |= send_more(c);
        else if (c->request_left > 0)
            has_moved |= read_body(c);
        else
            has_moved |= read_head(c);
    }
    return has_moved;
}

static void wait_for_anything(int fd)
{
    struct pollfd what[CONNECTIONS_MAX + 3];
    nfds_t count = 0;

    what[count++] = (struct pollfd){.fd = lockstep_fd(), .events = POLLIN};
    what[count++] = (struct pollfd){.fd = listener, .events = POLLIN};
    what[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    for (unsigned i = 0; i < connection_count; i++)
        what[count++] =
            (struct pollfd){.fd = connections[i].fd,
                            .events = connections[i].response_left > 0 ? POLLIN | POLLOUT : POLLIN};
    if (poll(what, count, -1) < 0)
        around_fail("poll");
}

void around_turn(int fd)
{
    bool has_moved = serve();

    has_moved |= lockstep_turn();
    if (!has_moved)
        wait_for_anything(fd);
}
