/* An open loop over TLS: requests at set times, however long answers take, each counted from when
 * it was due. (A closed loop asks less while the gateway is slow, and so leaves out what it is
 * looking for.)
 *
 * usage: open_loop PORT HOST PATH RATE SECONDS CONNECTIONS
 *                      so many requests a second on connections that stay
 *        open_loop PORT HOST - RATE SECONDS CONNECTIONS
 *                      so many full handshakes a second, each on a connection of its own
 *
 * A request waits for a free connection when there is none; where the gateway has closed one (it
 * may, between requests) a new one is made and the request goes to another. Says how many were
 * answered, how many went to another connection, how many were left when the time was over, how
 * many the load itself was a millisecond late with, though a connection was free, and,
 * in microseconds, the median, 90, 99 and 99.9 of 100, and the most; then, of each stretch that has
 * any, where it begins and how many: two stretches from a power of two to the next. */
#include "bench/tls_load.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, STRETCHES = 64, LATE_US = 1000 };

enum slot_state {
    SLOT_EMPTY,   /* no connection */
    SLOT_SHAKING, /* its handshake is under way */
    SLOT_READY,
    SLOT_ASKED,
};

struct slot {
    enum slot_state state;
    SSL *ssl;
    bool has_request; /* that it was given, due at `due_us` */
    long long due_us;
    struct answer answer;
};

static struct {
    SSL_CTX *settings;
    int epoll, slot_count, free_count, again_count;
    unsigned short port;
    const char *host;
    bool is_handshakes;
    char question[512];
    struct slot *slots, **free;
    long long *again; /* when requests were due whose connections had ended */
    unsigned *taken_us;
    size_t taken_count, taken_room;
    long moved, late;
} load;

static void note(long long due_us)
{
    if (load.taken_count == load.taken_room) {
        load.taken_room = load.taken_room * 2 + 65536;
        load.taken_us = realloc(load.taken_us, load.taken_room * sizeof(*load.taken_us));
        if (load.taken_us == NULL)
            fail("realloc");
    }
    load.taken_us[load.taken_count++] = (unsigned)(now_us() - due_us);
}

static void set_free(struct slot *slot)
{
    slot->has_request = false;
    load.free[load.free_count++] = slot;
}

static void hang_up(struct slot *slot)
{
    int fd = SSL_get_fd(slot->ssl);

    SSL_shutdown(slot->ssl);
    SSL_free(slot->ssl);
    close(fd);
    slot->ssl = NULL;
    slot->state = SLOT_EMPTY;
}

static void begin_handshake(struct slot *slot)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
    int fd = dial(load.port);

    slot->ssl = SSL_new(load.settings);
    SSL_set_fd(slot->ssl, fd);
    SSL_set_tlsext_host_name(slot->ssl, load.host);
    SSL_set_connect_state(slot->ssl);
    slot->state = SLOT_SHAKING;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll");
}

/* The connection has ended: its request, if it has one, goes to another. */
static void lose(struct slot *slot)
{
    if (slot->has_request) {
        load.again[load.again_count++] = slot->due_us;
        load.moved++;
    }
    hang_up(slot);
}

/* As far as it comes. */
static void go_on(struct slot *slot)
{
    if (slot->state == SLOT_EMPTY)
        begin_handshake(slot);
    if (slot->state == SLOT_SHAKING) {
        int done = SSL_do_handshake(slot->ssl);
        if (done != 1 && SSL_get_error(slot->ssl, done) == SSL_ERROR_WANT_READ)
            return;
        if (done != 1)
            fail("handshake");
        slot->state = SLOT_READY;
    }
    if (load.is_handshakes) {
        note(slot->due_us);
        hang_up(slot);
        set_free(slot);
        return;
    }
    if (slot->state == SLOT_READY && slot->has_request) {
        slot->state = SLOT_ASKED;
        if (!ask(slot->ssl, load.question, &slot->answer)) {
            lose(slot);
            set_free(slot);
        }
    }
}

static void hear(struct slot *slot)
{
    char byte;

    if (slot->state == SLOT_SHAKING) {
        go_on(slot);
    } else if (slot->state == SLOT_READY) { /* a ticket, or the end */
        int got = SSL_peek(slot->ssl, &byte, 1);
        if (got <= 0 && SSL_get_error(slot->ssl, got) != SSL_ERROR_WANT_READ)
            hang_up(slot);
    } else if (slot->state == SLOT_ASKED) {
        enum progress progress = read_answer(slot->ssl, &slot->answer);
        if (progress == ANSWER_COMES)
            return;
        if (progress == ANSWER_NEVER && slot->answer.length > 0)
            fail("an answer broke off");
        if (progress == ANSWER_NEVER)
            lose(slot);
        else
            note(slot->due_us);
        if (progress == ANSWER_WHOLE)
            slot->state = SLOT_READY;
        set_free(slot);
    }
}

static void give(long long due_us)
{
    struct slot *slot = load.free[--load.free_count];

    slot->has_request = true;
    slot->due_us = due_us;
    go_on(slot);
}

static void await(long long until_us)
{
    struct epoll_event events[EVENTS];
    long long left_us = until_us - now_us();
    struct timespec left = {0};

    if (left_us > 0)
        left = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
    int ready = epoll_pwait2(load.epoll, events, EVENTS, &left, NULL);
    for (int i = 0; i < ready; i++)
        hear(events[i].data.ptr);
}

/* How many were due and not answered when the time was over. */
static long run(long rate, long seconds)
{
    long long begin_us = now_us(), end_us = begin_us + seconds * 1000000LL;
    long next = 0, total = rate * seconds;
    bool was_free = true;

    while (now_us() < end_us) {
        while (load.free_count > 0 && load.again_count > 0)
            give(load.again[--load.again_count]);
        long long due_us = begin_us + next * 1000000LL / rate;
        while (load.free_count > 0 && next < total && due_us <= now_us()) {
            load.late += was_free && now_us() - due_us > LATE_US;
            give(due_us);
            due_us = begin_us + ++next * 1000000LL / rate;
        }
        was_free = load.free_count > 0;
        await(load.free_count > 0 && due_us < end_us ? due_us : end_us);
    }
    return total - (long)load.taken_count;
}

static int compare(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static unsigned taken_by(double share)
{
    size_t place = (size_t)((double)load.taken_count * share);
    return load.taken_us[place < load.taken_count ? place : load.taken_count - 1];
}

static unsigned stretch_begin(int i)
{
    return i % 2 == 0 ? 1u << i / 2 : 3u << i / 2 >> 1;
}

static void tell(long left)
{
    if (load.taken_count == 0)
        fail("nothing was answered");
    qsort(load.taken_us, load.taken_count, sizeof(*load.taken_us), compare);
    printf("answered %zu\nmoved %ld\nleft %ld\nlate %ld\n", load.taken_count, load.moved, left,
           load.late);
    printf("p50 %u\np90 %u\np99 %u\np99.9 %u\nmax %u\n", taken_by(0.5), taken_by(0.9),
           taken_by(0.99), taken_by(0.999), load.taken_us[load.taken_count - 1]);
    for (size_t i = 0, stretch = 0; stretch < STRETCHES - 2; stretch++) {
        size_t first = i;
        while (i < load.taken_count && load.taken_us[i] < stretch_begin((int)stretch + 1))
            i++;
        if (i > first)
            printf("from %u %zu\n", stretch_begin((int)stretch), i - first);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: open_loop PORT HOST PATH|- RATE SECONDS CONNECTIONS\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    signal(SIGPIPE, SIG_IGN);
    load.settings = client_settings();
    load.epoll = epoll_create1(0);
    load.port = (unsigned short)atoi(argv[1]);
    load.host = argv[2];
    load.is_handshakes = strcmp(argv[3], "-") == 0;
    load.slot_count = atoi(argv[6]);
    load.slots = calloc((size_t)load.slot_count, sizeof(*load.slots));
    load.free = calloc((size_t)load.slot_count, sizeof(struct slot *));
    load.again = calloc((size_t)load.slot_count, sizeof(*load.again));
    snprintf(load.question, sizeof(load.question), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3],
             argv[2]);
    for (int i = 0; i < load.slot_count; i++)
        set_free(&load.slots[i]);
    for (int i = 0; i < load.slot_count && !load.is_handshakes; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load.slots[i]};
        load.slots[i].ssl = connect_to(load.settings, load.port, load.host);
        load.slots[i].state = SLOT_READY;
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, SSL_get_fd(load.slots[i].ssl), &event) != 0)
            fail("epoll");
    }
    tell(run(atol(argv[4]), atol(argv[5])));
    return 0;
}
