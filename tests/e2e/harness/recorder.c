#include "recorder.h"

#include "monitor.h"
#include "support/strict_reader.h"
#include "wire.h"
#include "workplace.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, PIECE = 4096 };

struct recorded {
    int fd; /* -1: its peer, or we, ended it */
    char *bytes;
    size_t length, room;
    size_t taken;    /* by recorder_take */
    size_t answered; /* the end of the last whole request */
    bool told_to_go_on;
};

struct recorder {
    char address[64];
    int listener;
    int stop[2]; /* a pipe that wakes the thread for its end */
    pthread_t thread;
    struct recorded connections[CONNECTIONS_MAX];
    unsigned count;
};

/* --- what is answered ----------------------------------------------------------------------- */

static void say(struct recorded *c, const char *words)
{
    if (send(c->fd, words, strlen(words), MSG_NOSIGNAL) < 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void answer(struct recorded *c, const struct strict_message *request)
{
    bool is_to_head = strict_text_equal(request->method, strict_text_of("HEAD"));

    say(c, is_to_head ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                      : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    c->told_to_go_on = false;
}

static void answer_what_is_whole(struct recorded *c)
{
    struct strict_message request;
    struct strict_text expectation;
    enum strict_verdict verdict = STRICT_WHOLE;

    while (c->fd >= 0 && c->answered < c->length && verdict == STRICT_WHOLE) {
        verdict = strict_read_request(
            strict_text_make(c->bytes + c->answered, c->length - c->answered), &request);
        if (verdict == STRICT_WHOLE) {
            answer(c, &request);
            c->answered += request.used;
        } else if (verdict == STRICT_WRONG) {
            close(c->fd);
            c->fd = -1;
        } else if (request.has_head && !c->told_to_go_on &&
                   strict_fields_find(&request.fields, "Expect", &expectation) > 0) {
            say(c, "HTTP/1.1 100 Continue\r\n\r\n");
            c->told_to_go_on = true;
        }
        strict_message_clear(&request);
    }
}

/* --- what is read --------------------------------------------------------------------------- */

static void read_connection(struct recorded *c)
{
    for (ssize_t got = 1; got > 0 && c->fd >= 0;) {
        if (c->room - c->length < PIECE) {
            c->room += 4 * (size_t)PIECE;
            c->bytes = realloc(c->bytes, c->room);
        }
        if (c->bytes == NULL)
            abort();
        got = recv(c->fd, c->bytes + c->length, PIECE, MSG_DONTWAIT);
        if (got > 0) {
            c->length += (size_t)got;
            answer_what_is_whole(c);
        } else if (got == 0) {
            close(c->fd);
            c->fd = -1;
        }
    }
}

/* Without waiting for anything; the lock is held. */
static void pump(struct recorder *recorder)
{
    struct pollfd waits = {.fd = recorder->listener, .events = POLLIN};

    while (recorder->count < CONNECTIONS_MAX && poll(&waits, 1, 0) == 1) {
        int fd = accept4(recorder->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        recorder->connections[recorder->count++] = (struct recorded){.fd = fd};
    }
    for (unsigned i = 0; i < recorder->count; i++)
        read_connection(&recorder->connections[i]);
}

static void *run(void *arg)
{
    struct recorder *recorder = arg;
    struct pollfd waits[CONNECTIONS_MAX + 2];

    for (;;) {
        nfds_t count = 2;

        waits[0] = (struct pollfd){.fd = recorder->stop[0], .events = POLLIN};
        waits[1] = (struct pollfd){.fd = recorder->listener, .events = POLLIN};
        monitor_lock();
        for (unsigned i = 0; i < recorder->count; i++)
            if (recorder->connections[i].fd >= 0)
                waits[count++] =
                    (struct pollfd){.fd = recorder->connections[i].fd, .events = POLLIN};
        monitor_unlock();
        if (poll(waits, count, -1) < 0)
            continue;
        if (waits[0].revents != 0)
            return NULL;
        monitor_lock();
        pump(recorder);
        monitor_unlock();
    }
}

/* --- its life ------------------------------------------------------------------------------- */

static void recorder_free(void *object)
{
    struct recorder *recorder = object;

    (void)!write(recorder->stop[1], "x", 1);
    pthread_join(recorder->thread, NULL);
    close(recorder->stop[0]);
    close(recorder->stop[1]);
    close(recorder->listener);
    for (unsigned i = 0; i < recorder->count; i++) {
        if (recorder->connections[i].fd >= 0)
            close(recorder->connections[i].fd);
        free(recorder->connections[i].bytes);
    }
    free(recorder);
}

struct recorder *recorder_start(void)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);

    if (recorder == NULL || pipe(recorder->stop) != 0)
        abort();
    recorder->listener = wire_listen("127.0.0.1:0", recorder->address, sizeof recorder->address);
    if (pthread_create(&recorder->thread, NULL, run, recorder) != 0)
        abort();
    return workplace_own(recorder, recorder_free);
}

const char *recorder_address(const struct recorder *recorder)
{
    return recorder->address;
}

/* --- what was recorded ---------------------------------------------------------------------- */

static void forget_ended(struct recorder *recorder)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < recorder->count; i++) {
        struct recorded *c = &recorder->connections[i];

        if (c->fd >= 0 && c->answered == c->length)
            c->length = c->taken = c->answered = 0;
        if (c->fd >= 0)
            recorder->connections[kept++] = *c;
        else
            free(c->bytes);
    }
    recorder->count = kept;
}

struct recording recorder_take(struct recorder *recorder)
{
    struct recording all = {.bytes = malloc(1)};

    monitor_lock();
    pump(recorder);
    for (unsigned i = 0; i < recorder->count; i++) {
        struct recorded *c = &recorder->connections[i];
        size_t fresh = c->length - c->taken;

        all.bytes = realloc(all.bytes, all.length + fresh + 1);
        if (all.bytes == NULL)
            abort();
        if (fresh > 0)
            memcpy(all.bytes + all.length, c->bytes + c->taken, fresh);
        all.length += fresh;
        c->taken = c->length;
    }
    forget_ended(recorder);
    monitor_unlock();
    all.bytes[all.length] = '\0';
    return all;
}
