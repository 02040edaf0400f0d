#include "wire.h"

#include "h2_wire.h"
#include "monitor.h"
#include "workplace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_PIECE ((size_t)65536)

void wire_init(struct wire *wire, int fd, SSL *ssl)
{
    int patience = monitor_patience_ms();
    struct timeval limit = {.tv_sec = patience / 1000};
    int on = 1;

    memset(wire, 0, sizeof *wire);
    wire->fd = fd;
    wire->ssl = ssl;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void wire_clear(struct wire *wire)
{
    if (wire->h2 != NULL)
        h2_wire_free(wire->h2);
    wire->h2 = NULL;
    SSL_free(wire->ssl);
    wire->ssl = NULL;
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
    free(wire->in);
    wire->in = NULL;
    wire->start = wire->end = wire->room = 0;
}

static void make_room(struct wire *wire)
{
    if (wire->start == wire->end)
        wire->start = wire->end = 0;
    if (wire->room - wire->end >= READ_PIECE)
        return;
    if (wire->start > 0) {
        memmove(wire->in, wire->in + wire->start, wire->end - wire->start);
        wire->end -= wire->start;
        wire->start = 0;
    }
    if (wire->room - wire->end < READ_PIECE) {
        wire->room = wire->end + READ_PIECE * 2;
        wire->in = realloc(wire->in, wire->room);
        if (wire->in == NULL)
            abort();
    }
}

static enum wire_end why_no_plain_bytes(ssize_t got)
{
    if (got == 0)
        return WIRE_CLOSED;
    return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_TIMED_OUT : WIRE_RESET;
}

enum wire_end wire_tls_end(SSL *ssl, int answer, int *alert)
{
    int saved = errno;
    int reason = ERR_GET_REASON(ERR_peek_error());

    switch (SSL_get_error(ssl, answer)) {
    case SSL_ERROR_ZERO_RETURN: return WIRE_CLOSED;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return WIRE_TIMED_OUT;
    case SSL_ERROR_SSL:
        if (reason > SSL_AD_REASON_OFFSET)
            *alert = reason - SSL_AD_REASON_OFFSET;
        return reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ? WIRE_CUT : WIRE_RESET;
    default: return saved == 0 ? WIRE_CUT : WIRE_RESET;
    }
}

bool wire_fill(struct wire *wire)
{
    if (wire->state != WIRE_OPEN)
        return false;
    make_room(wire);
    ssize_t got;
    if (wire->h2 != NULL) {
        got = (ssize_t)h2_wire_read(wire->h2, wire->in + wire->end, READ_PIECE, &wire->state);
        wire->end += (size_t)got;
        wire->alert = h2_wire_alert(wire->h2);
        return got > 0;
    }
    do {
        errno = 0;
        ERR_clear_error();
        got = wire->ssl != NULL ? SSL_read(wire->ssl, wire->in + wire->end, (int)READ_PIECE)
                                : recv(wire->fd, wire->in + wire->end, READ_PIECE, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        wire->end += (size_t)got;
        return true;
    }
    wire->state = wire->ssl != NULL ? wire_tls_end(wire->ssl, (int)got, &wire->alert)
                                    : why_no_plain_bytes(got);
    return false;
}

bool wire_is_readable(struct wire *wire, int patience_ms)
{
    struct pollfd ask = {.fd = wire->fd, .events = POLLIN};

    if (wire->h2 == NULL)
        return poll(&ask, 1, patience_ms) > 0;
    if (!h2_wire_is_readable(wire->h2) && patience_ms > 0)
        poll(NULL, 0, patience_ms);
    return h2_wire_is_readable(wire->h2);
}

size_t wire_held(const struct wire *wire)
{
    return wire->end - wire->start;
}

const char *wire_bytes(const struct wire *wire)
{
    return wire->in + wire->start;
}

void wire_take(struct wire *wire, size_t length)
{
    wire->start += length;
}

void wire_put(struct wire *wire, const void *bytes, size_t length)
{
    const char *from = bytes;

    while (length > 0) {
        make_room(wire);
        size_t piece = length < READ_PIECE ? length : READ_PIECE;
        memcpy(wire->in + wire->end, from, piece);
        wire->end += piece;
        from += piece;
        length -= piece;
    }
}

/* Writes some of it; how much, 0 when the peer refused it. */
static size_t write_piece(struct wire *wire, const char *bytes, size_t length)
{
    ssize_t sent;

    if (wire->h2 != NULL)
        return h2_wire_write(wire->h2, bytes, length) ? length : 0;
    do {
        errno = 0;
        ERR_clear_error();
        sent = wire->ssl != NULL ? SSL_write(wire->ssl, bytes, (int)length)
                                 : send(wire->fd, bytes, length, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent > 0 ? (size_t)sent : 0;
}

bool wire_write(struct wire *wire, const void *bytes, size_t length)
{
    const char *from = bytes;

    while (length > 0) {
        size_t sent = write_piece(wire, from, length < READ_PIECE ? length : READ_PIECE);
        if (sent == 0)
            return false;
        from += sent;
        length -= sent;
    }
    return true;
}

bool wire_print(struct wire *wire, const char *format, ...)
{
    va_list arguments;
    char *made = NULL;

    va_start(arguments, format);
    int length = vasprintf(&made, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    bool sent = wire_write(wire, made, (size_t)length);
    free(made);
    return sent;
}

void wire_half_close(struct wire *wire)
{
    if (wire->h2 != NULL)
        h2_wire_half_close(wire->h2);
    else if (wire->ssl != NULL)
        SSL_shutdown(wire->ssl);
    else
        shutdown(wire->fd, SHUT_WR);
}

void wire_reset(struct wire *wire)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (wire->h2 != NULL)
        h2_wire_free(wire->h2);
    wire->h2 = NULL;
    setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(wire->fd);
    wire->fd = -1;
    wire->state = WIRE_CLOSED;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

static socklen_t parse_address(const char *address, union any_address *to)
{
    char host[64];
    const char *colon = strrchr(address, ':');

    memset(to, 0, sizeof *to);
    if (strncmp(address, "unix:", 5) == 0) {
        to->path.sun_family = AF_UNIX;
        snprintf(to->path.sun_path, sizeof to->path.sun_path, "%s", address + 5);
        return sizeof to->path;
    }
    workplace_require(colon != NULL && (size_t)(colon - address) < sizeof host,
                      "not an address: %s", address);
    in_port_t port = htons((in_port_t)atoi(colon + 1));
    if (address[0] == '[') {
        snprintf(host, sizeof host, "%.*s", (int)(colon - address - 2), address + 1);
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = port;
        workplace_require(inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1, "not an address: %s",
                          address);
        return sizeof to->v6;
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    to->v4.sin_family = AF_INET;
    to->v4.sin_port = port;
    workplace_require(inet_pton(AF_INET, host, &to->v4.sin_addr) == 1, "not an address: %s",
                      address);
    return sizeof to->v4;
}

int wire_dial(const char *address, bool small_window)
{
    return wire_dial_from(address, NULL, small_window);
}

int wire_dial_from(const char *address, const char *source, bool small_window)
{
    union any_address to, own;
    socklen_t length = parse_address(address, &to);
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 4096;

    workplace_require(fd >= 0, "no socket: %s", strerror(errno));
    if (small_window)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (source != NULL) {
        socklen_t own_length = parse_address(source, &own);
        workplace_require(bind(fd, &own.any, own_length) == 0, "cannot connect from %s: %s", source,
                          strerror(errno));
    }
    while (connect(fd, &to.any, length) != 0) {
        if (errno == EINTR)
            continue;
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

int wire_listen(const char *address, char *bound, size_t room)
{
    union any_address at;
    socklen_t length = parse_address(address, &at);
    char host[64];
    int on = 1;
    int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    workplace_require(fd >= 0, "no socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    workplace_require(bind(fd, &at.any, length) == 0 && listen(fd, 1024) == 0,
                      "cannot listen on %s: %s", address, strerror(errno));
    if (at.any.sa_family == AF_UNIX) {
        snprintf(bound, room, "%s", address);
        return fd;
    }
    getsockname(fd, &at.any, &length);
    if (at.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof host);
        snprintf(bound, room, "[%s]:%d", host, ntohs(at.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof host);
        snprintf(bound, room, "%s:%d", host, ntohs(at.v4.sin_port));
    }
    return fd;
}
