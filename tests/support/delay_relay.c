#include "support/delay_relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_MAX = 256 * 1024,
    RECEIVE_BUFFER = 64 * 1024, /* of which the kernel makes twice as much */
    SLICE_MS = 2,               /* what a narrow path takes at once is what passes in that time */
};

static const uint64_t lane_room = 64 << 20, never = UINT64_MAX;

/* What came at once. */
struct piece {
    struct piece *next;
    uint64_t came_us;
    size_t length, sent;
    char bytes[];
};

enum lane_end { LANE_OPEN, LANE_ENDED, LANE_RESET };

/* One way of one connection. */
struct lane {
    struct piece *first, **last;
    uint64_t bytes;    /* of the pieces, not yet sent */
    enum lane_end end; /* behind the last piece */
    uint64_t end_came_us;
    bool is_shut;        /* the end was delivered */
    bool is_full_behind; /* who receives takes no more for now */
};

struct connection {
    struct connection *next;
    int fds[2];           /* of who connected, and to whom: a lane leads from fds[way] */
    struct lane lanes[2]; /* by enum delay_way */
};

struct way {
    unsigned delay_ms;
    bool is_blocked;
    uint64_t in_flight, most;
};

struct delay_relay {
    pthread_t thread;
    pthread_mutex_t lock; /* held by the thread but while it waits */
    int listener, wake[2];
    struct sockaddr_in to;
    char address[32];
    struct way ways[2];
    uint64_t rate, allowance, allowance_us; /* of the way back: bytes it takes now, as of then */
    bool is_stopping;
    struct connection *connections;
    size_t connection_count;
    struct pollfd *polled; /* wake, listener, then two a connection */
    char scratch[PIECE_MAX];
};

static void require(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "delay_relay: %s (%s)\n", what, strerror(errno));
    abort();
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- what comes ------------------------------------------------------------------------------ */

/* How much of a narrow path's bytes may come now. */
static size_t allowance(struct delay_relay *relay, enum delay_way way, uint64_t now)
{
    if (relay->rate == 0 || way != DELAY_BACK)
        return PIECE_MAX;
    uint64_t slice = relay->rate * SLICE_MS / 1000 + 1;
    relay->allowance += relay->rate * (now - relay->allowance_us) / 1000000;
    if (relay->allowance > slice)
        relay->allowance = slice;
    relay->allowance_us = now;
    return relay->allowance < slice / 2 ? 0 : (size_t)relay->allowance;
}

static bool wants_more(const struct delay_relay *relay, const struct connection *connection,
                       enum delay_way way)
{
    const struct lane *lane = &connection->lanes[way];

    return lane->end == LANE_OPEN && !relay->ways[way].is_blocked && lane->bytes < lane_room;
}

static void end_lane(struct lane *lane, enum lane_end end, uint64_t now)
{
    lane->end = end;
    lane->end_came_us = now;
}

static void receive(struct delay_relay *relay, struct connection *connection, enum delay_way way,
                    uint64_t now)
{
    struct lane *lane = &connection->lanes[way];
    size_t room = allowance(relay, way, now);

    if (room == 0)
        return;
    ssize_t got = recv(connection->fds[way], relay->scratch, room < PIECE_MAX ? room : PIECE_MAX,
                       MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end_lane(lane, got == 0 ? LANE_ENDED : LANE_RESET, now);
        return;
    }
    struct piece *piece = malloc(sizeof(*piece) + (size_t)got);
    require(piece != NULL, "no memory");
    *piece = (struct piece){.came_us = now, .length = (size_t)got};
    memcpy(piece->bytes, relay->scratch, (size_t)got);
    *lane->last = piece;
    lane->last = &piece->next;
    lane->bytes += piece->length;
    if (relay->rate != 0 && way == DELAY_BACK)
        relay->allowance -= piece->length;
    struct way *counted = &relay->ways[way];
    counted->in_flight += piece->length;
    if (counted->most < counted->in_flight)
        counted->most = counted->in_flight;
}

/* --- what goes ------------------------------------------------------------------------------- */

static uint64_t due(const struct delay_relay *relay, enum delay_way way, uint64_t came_us)
{
    unsigned delay_ms = relay->ways[way].delay_ms;

    return delay_ms == DELAY_FOREVER ? never : came_us + (uint64_t)delay_ms * 1000;
}

static void count_out(struct delay_relay *relay, struct lane *lane, enum delay_way way,
                      uint64_t bytes)
{
    lane->bytes -= bytes;
    relay->ways[way].in_flight -= bytes;
}

static void drop_piece(struct lane *lane)
{
    struct piece *piece = lane->first;

    lane->first = piece->next;
    if (lane->first == NULL)
        lane->last = &lane->first;
    free(piece);
}

/* False: whoever should get it has gone. */
static bool deliver_pieces(struct delay_relay *relay, struct connection *connection,
                           enum delay_way way, uint64_t now)
{
    struct lane *lane = &connection->lanes[way];

    while (lane->first != NULL && due(relay, way, lane->first->came_us) <= now) {
        struct piece *piece = lane->first;
        ssize_t sent = send(connection->fds[!way], piece->bytes + piece->sent,
                            piece->length - piece->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        lane->is_full_behind = sent < 0 && (errno == EAGAIN || errno == EINTR);
        if (sent < 0)
            return lane->is_full_behind;
        count_out(relay, lane, way, (uint64_t)sent);
        piece->sent += (size_t)sent;
        if (piece->sent == piece->length)
            drop_piece(lane);
    }
    return true;
}

/* False: the connection is over. */
static bool deliver(struct delay_relay *relay, struct connection *connection, enum delay_way way,
                    uint64_t now)
{
    struct lane *lane = &connection->lanes[way];

    if (!deliver_pieces(relay, connection, way, now))
        return false;
    if (lane->first != NULL || lane->end == LANE_OPEN || lane->is_shut ||
        due(relay, way, lane->end_came_us) > now)
        return true;
    if (lane->end == LANE_RESET)
        return false;
    shutdown(connection->fds[!way], SHUT_WR);
    lane->is_shut = true;
    return !connection->lanes[!way].is_shut;
}

/* --- connections ----------------------------------------------------------------------------- */

static void close_connection(struct delay_relay *relay, struct connection *connection)
{
    struct linger at_once = {.l_onoff = 1};
    bool is_in_order =
        connection->lanes[DELAY_FORTH].is_shut && connection->lanes[DELAY_BACK].is_shut;

    for (int way = 0; way < 2; way++) {
        struct lane *lane = &connection->lanes[way];
        count_out(relay, lane, way, lane->bytes);
        while (lane->first != NULL)
            drop_piece(lane);
        if (!is_in_order)
            setsockopt(connection->fds[way], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(connection->fds[way]);
    }
    free(connection);
    relay->connection_count--;
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = RECEIVE_BUFFER;

    require(fd >= 0, "no socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return fd;
}

static void accept_connection(struct delay_relay *relay)
{
    int from = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    int to = new_socket();

    if (from < 0 || connect(to, (const struct sockaddr *)&relay->to, sizeof(relay->to)) != 0) {
        close(to);
        if (from >= 0)
            close(from);
        return;
    }
    struct connection *connection = calloc(1, sizeof(*connection));
    require(connection != NULL, "no memory");
    connection->fds[DELAY_FORTH] = from;
    connection->fds[DELAY_BACK] = to;
    for (int way = 0; way < 2; way++) {
        connection->lanes[way].last = &connection->lanes[way].first;
        setsockopt(connection->fds[way], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    connection->next = relay->connections;
    relay->connections = connection;
    relay->connection_count++;
}

/* --- the thread ------------------------------------------------------------------------------ */

/* When something is to be done even if nothing happens. */
static uint64_t next_due(const struct delay_relay *relay)
{
    uint64_t first = never;

    for (const struct connection *c = relay->connections; c != NULL; c = c->next) {
        for (int way = 0; way < 2; way++) {
            const struct lane *lane = &c->lanes[way];
            uint64_t at = never;
            if (lane->first != NULL && !lane->is_full_behind)
                at = due(relay, way, lane->first->came_us);
            else if (lane->first == NULL && lane->end != LANE_OPEN && !lane->is_shut)
                at = due(relay, way, lane->end_came_us);
            if (at < first)
                first = at;
        }
    }
    return first;
}

static size_t fill_polled(struct delay_relay *relay)
{
    size_t count = 2;

    relay->polled =
        realloc(relay->polled, (2 + 2 * relay->connection_count) * sizeof(struct pollfd));
    require(relay->polled != NULL, "no memory");
    relay->polled[0] = (struct pollfd){.fd = relay->wake[0], .events = POLLIN};
    relay->polled[1] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
    for (struct connection *c = relay->connections; c != NULL; c = c->next) {
        for (int way = 0; way < 2; way++) {
            bool is_narrow = relay->rate != 0 && way == DELAY_BACK;
            short events = wants_more(relay, c, way) && !is_narrow ? POLLIN : 0;
            events |= c->lanes[!way].is_full_behind ? POLLOUT : 0;
            /* Without events a socket that is broken or ended both ways would be reported again and
             * again; its end is seen when there is something to be done with it. */
            relay->polled[count++] =
                (struct pollfd){.fd = events != 0 ? c->fds[way] : -1, .events = events};
        }
    }
    return count;
}

static void wait_for_something(struct delay_relay *relay)
{
    uint64_t now = now_us(), at = next_due(relay);
    size_t count = fill_polled(relay);
    char bytes[64];

    if (relay->rate != 0 && relay->connections != NULL && at > now + SLICE_MS * 1000)
        at = now + SLICE_MS * 1000;
    uint64_t left = at > now ? at - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000),
                               .tv_nsec = (long)(left % 1000000) * 1000};
    pthread_mutex_unlock(&relay->lock);
    ppoll(relay->polled, count, at == never ? NULL : &timeout, NULL);
    pthread_mutex_lock(&relay->lock);
    if (relay->polled[0].revents != 0)
        require(read(relay->wake[0], bytes, sizeof(bytes)) > 0, "cannot be woken");
}

static void move_bytes(struct delay_relay *relay)
{
    uint64_t now = now_us();

    for (struct connection **at = &relay->connections; *at != NULL;) {
        struct connection *connection = *at;
        bool is_on = true;
        for (int way = 0; way < 2 && is_on; way++) {
            if (wants_more(relay, connection, way))
                receive(relay, connection, way, now);
            is_on = deliver(relay, connection, way, now);
        }
        if (is_on) {
            at = &connection->next;
        } else {
            *at = connection->next;
            close_connection(relay, connection);
        }
    }
}

static void *run(void *argument)
{
    struct delay_relay *relay = argument;

    pthread_mutex_lock(&relay->lock);
    while (!relay->is_stopping) {
        wait_for_something(relay);
        if (relay->polled[1].revents != 0)
            accept_connection(relay);
        move_bytes(relay);
    }
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

static void wake(struct delay_relay *relay)
{
    require(write(relay->wake[1], "", 1) == 1, "cannot be woken");
}

/* --- life ------------------------------------------------------------------------------------ */

static void listen_anywhere(struct delay_relay *relay)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->listener = new_socket();
    require(bind(relay->listener, (const struct sockaddr *)&address, length) == 0 &&
                listen(relay->listener, 1024) == 0 &&
                getsockname(relay->listener, (struct sockaddr *)&address, &length) == 0,
            "cannot listen");
    snprintf(relay->address, sizeof(relay->address), "127.0.0.1:%u", ntohs(address.sin_port));
}

struct delay_relay *delay_relay_start(const struct delay_options *options)
{
    struct delay_relay *relay = calloc(1, sizeof(*relay));
    char host[INET_ADDRSTRLEN];
    unsigned port;

    require(relay != NULL, "no memory");
    relay->to.sin_family = AF_INET;
    require(sscanf(options->to, "%15[0-9.]:%u", host, &port) == 2 &&
                inet_pton(AF_INET, host, &relay->to.sin_addr) == 1,
            "no IPv4 address and port");
    relay->to.sin_port = htons((uint16_t)port);
    relay->ways[DELAY_FORTH].delay_ms = relay->ways[DELAY_BACK].delay_ms = options->delay_ms;
    relay->rate = options->rate;
    relay->allowance_us = now_us();
    listen_anywhere(relay);
    pthread_mutex_init(&relay->lock, NULL);
    require(pipe2(relay->wake, O_CLOEXEC) == 0, "no pipe");
    require(pthread_create(&relay->thread, NULL, run, relay) == 0, "no thread");
    return relay;
}

void delay_relay_stop(struct delay_relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->is_stopping = true;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
    pthread_join(relay->thread, NULL);
    while (relay->connections != NULL) {
        struct connection *connection = relay->connections;
        relay->connections = connection->next;
        close_connection(relay, connection);
    }
    close(relay->listener);
    close(relay->wake[0]);
    close(relay->wake[1]);
    pthread_mutex_destroy(&relay->lock);
    free(relay->polled);
    free(relay);
}

const char *delay_relay_address(const struct delay_relay *relay)
{
    return relay->address;
}

/* --- orders and figures ---------------------------------------------------------------------- */

void delay_relay_set_delay(struct delay_relay *relay, enum delay_way way, unsigned delay_ms)
{
    pthread_mutex_lock(&relay->lock);
    relay->ways[way].delay_ms = delay_ms;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
}

void delay_relay_block(struct delay_relay *relay, enum delay_way way, bool is_blocked)
{
    pthread_mutex_lock(&relay->lock);
    relay->ways[way].is_blocked = is_blocked;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
}

uint64_t delay_relay_in_flight(struct delay_relay *relay, enum delay_way way)
{
    pthread_mutex_lock(&relay->lock);
    uint64_t bytes = relay->ways[way].in_flight;
    pthread_mutex_unlock(&relay->lock);
    return bytes;
}

uint64_t delay_relay_most_in_flight(struct delay_relay *relay, enum delay_way way)
{
    pthread_mutex_lock(&relay->lock);
    uint64_t bytes = relay->ways[way].most;
    pthread_mutex_unlock(&relay->lock);
    return bytes;
}

void delay_relay_forget(struct delay_relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    for (int way = 0; way < 2; way++)
        relay->ways[way].most = relay->ways[way].in_flight;
    pthread_mutex_unlock(&relay->lock);
}
