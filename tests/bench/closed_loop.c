/* A closed loop without TLS: so many connections, each of which asks again as soon as it has its
 * answer; and how long answers took, each counted as it was. (wrk, too, is a closed loop, but adds
 * to what it measured what it takes to be missing.)
 *
 * usage: closed_loop PORT HOST CONNECTIONS WARM_MS MEASURED_MS
 *
 * Says how many answers there were in the time that was measured, and, in microseconds, how long
 * the median, 99 and 99.9 of 100, and all took at most. Any failure ends it with 1. */
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

enum { ANSWER_BYTES = 16384, EVENTS = 256 };

struct connection {
    int fd;
    long long asked_us;
    size_t length; /* of what has come of the answer */
    char answer[ANSWER_BYTES];
};

static char question[512];
static unsigned *taken_us; /* of each answer that counts */
static size_t taken_count, taken_room;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void ask(struct connection *connection)
{
    size_t length = strlen(question);
    connection->length = 0;
    connection->asked_us = now_us();
    if (send(connection->fd, question, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("send");
}

static void open_connection(int epoll, struct connection *connection, unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        fail("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ask(connection);
}

/* Whether the answer is whole; one that is not 200 ends the program. */
static bool read_answer(struct connection *connection)
{
    char *at = connection->answer;
    ssize_t got = recv(connection->fd, at + connection->length,
                       sizeof(connection->answer) - 1 - connection->length, 0);
    if (got <= 0)
        fail("an answer broke off");
    connection->length += (size_t)got;
    at[connection->length] = '\0';
    const char *body = strstr(at, "\r\n\r\n"), *field = strcasestr(at, "\r\nContent-Length: ");
    if (body == NULL)
        return false;
    if (strncmp(at, "HTTP/1.1 200 ", 13) != 0 || field == NULL || field > body) {
        fprintf(stderr, "closed_loop: %.200s\n", at);
        exit(1);
    }
    return (size_t)(body + 4 - at) + strtoul(field + 18, NULL, 10) <= connection->length;
}

static void note(long long us)
{
    if (taken_count == taken_room) {
        taken_room = taken_room * 2 + 65536;
        taken_us = realloc(taken_us, taken_room * sizeof(*taken_us));
        if (taken_us == NULL)
            fail("realloc");
    }
    taken_us[taken_count++] = (unsigned)us;
}

static int compare(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static unsigned taken_by(double share)
{
    size_t place = (size_t)((double)taken_count * share);
    return taken_us[place < taken_count ? place : taken_count - 1];
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: closed_loop PORT HOST CONNECTIONS WARM_MS MEASURED_MS\n");
        return 2;
    }
    int epoll = epoll_create1(0), count = atoi(argv[3]);
    struct connection *connections = calloc((size_t)count, sizeof(*connections));
    snprintf(question, sizeof(question), "GET /1k HTTP/1.1\r\nHost: %s\r\n\r\n", argv[2]);
    for (int i = 0; i < count; i++)
        open_connection(epoll, &connections[i], (unsigned short)atoi(argv[1]));
    long long from_us = now_us() + atoll(argv[4]) * 1000;
    long long until_us = from_us + atoll(argv[5]) * 1000;
    while (now_us() < until_us) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!read_answer(connection))
                continue;
            if (connection->asked_us >= from_us)
                note(now_us() - connection->asked_us);
            ask(connection);
        }
    }
    if (taken_count == 0) {
        fprintf(stderr, "closed_loop: no answer\n");
        return 1;
    }
    qsort(taken_us, taken_count, sizeof(*taken_us), compare);
    printf("%zu %u %u %u %u\n", taken_count, taken_by(0.5), taken_by(0.99), taken_by(0.999),
           taken_us[taken_count - 1]);
    return 0;
}
