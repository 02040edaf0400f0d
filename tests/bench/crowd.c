/* Many connections over TLS that stay: so many, each of which asks once at its start; then, as its
 * standard input says, they ask in turn.
 *
 * usage: crowd PORT CONNECTIONS
 *
 * Says "here" when all are there. Then reads lines, and says "done" after each:
 *     ask COUNT AT_ONCE    so many requests for /1k, so many at once, each connection in its turn
 * The end of its standard input closes all connections; then it says "gone" and ends. */
#include "bench/tls_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static const char question[] = "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct member {
    SSL *ssl;
    struct answer *answer; /* of the request that is under way; NULL: none */
};

struct crowd {
    struct member *members;
    int count, next, epoll;
    int answer_count;
    struct answer *
        *answers; /* at rest: as many as may be under way, warm however large the crowd */
};

static void ask_next(struct crowd *crowd)
{
    struct member *member;

    do { /* one that is still waiting loses its turn */
        member = &crowd->members[crowd->next];
        crowd->next = (crowd->next + 1) % crowd->count;
    } while (member->answer != NULL);
    member->answer = crowd->answers[--crowd->answer_count];
    if (!ask(member->ssl, question, member->answer))
        fail("a request");
}

static void ask_all(struct crowd *crowd, long count, long at_once)
{
    struct epoll_event events[EVENTS];
    long asked, answered = 0;

    for (asked = 0; asked < at_once && asked < count; asked++)
        ask_next(crowd);
    while (answered < count) {
        int ready = epoll_wait(crowd->epoll, events, EVENTS, 30000);
        if (ready <= 0)
            fail("no answer comes");
        for (int i = 0; i < ready; i++) {
            struct member *member = events[i].data.ptr;
            enum progress progress =
                member->answer != NULL ? read_answer(member->ssl, member->answer) : ANSWER_NEVER;
            if (progress == ANSWER_NEVER)
                fail("a connection ended");
            if (progress == ANSWER_COMES)
                continue;
            crowd->answers[crowd->answer_count++] = member->answer;
            member->answer = NULL;
            answered++;
            if (asked++ < count)
                ask_next(crowd);
        }
    }
}

static void come(struct crowd *crowd, SSL_CTX *settings, unsigned short port)
{
    for (int i = 0; i < crowd->count; i++) {
        struct member *member = &crowd->members[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
        member->ssl = connect_to(settings, port, "localhost");
        if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, SSL_get_fd(member->ssl), &event) != 0)
            fail("epoll");
        crowd->next = i; /* before the gateway takes it for one that never asks */
        ask_all(crowd, 1, 1);
    }
}

/* Both ways, so that the gateway has closed them all, too, when this returns. */
static void leave(struct crowd *crowd)
{
    for (int i = 0; i < crowd->count; i++) {
        int fd = SSL_get_fd(crowd->members[i].ssl);
        SSL_shutdown(crowd->members[i].ssl);
        shutdown(fd, SHUT_WR);
    }
    for (int i = 0; i < crowd->count; i++) {
        struct epoll_event event;
        char drop[4096];
        int fd = SSL_get_fd(crowd->members[i].ssl);
        while (recv(fd, drop, sizeof(drop), 0) != 0)
            epoll_wait(crowd->epoll, &event, 1, 10);
        epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, fd, &event);
        close(fd);
    }
}

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[128];
    long count, at_once;
    struct crowd crowd = {.epoll = epoll_create1(0), .count = argc == 3 ? atoi(argv[2]) : 0};

    if (crowd.count <= 0) {
        fprintf(stderr, "usage: crowd PORT CONNECTIONS\n");
        return 2;
    }
    crowd.members = calloc((size_t)crowd.count, sizeof(*crowd.members));
    crowd.answers = calloc((size_t)crowd.count, sizeof(*crowd.answers));
    for (; crowd.answer_count < crowd.count && crowd.answer_count < EVENTS; crowd.answer_count++)
        crowd.answers[crowd.answer_count] = calloc(1, sizeof(struct answer));
    come(&crowd, client_settings(), (unsigned short)atoi(argv[1]));
    say("here");
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "ask %ld %ld", &count, &at_once) != 2 || at_once > crowd.answer_count)
            fail(line);
        ask_all(&crowd, count, at_once);
        say("done");
    }
    leave(&crowd);
    say("gone");
    return 0;
}
