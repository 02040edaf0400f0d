/* What a client of Redis does by itself; with a real one: e2e/test_redis.c. */
#include "net/redis_client.h"

#include "support/loopback.h"

#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 5000 };

struct asker {
    struct task task;
    struct redis_call *call;
    enum io answer;
};

static struct loop *loop;
static struct redis_outage *outage;
static struct redis_client *client;
static struct asker askers[CALLS];
static unsigned waiting;

static void begin(void)
{
    loop = loop_new();
    outage = redis_outage_new();
    client = redis_client_new(loop, outage, "return {1}");
}

static void end(void)
{
    redis_client_free(client);
    loop_free(loop);
    redis_outage_free(outage);
}

TestSuite(redis_client, .init = begin, .fini = end, .timeout = 240);

static void follow(const struct address *address, uint64_t timeout_ms)
{
    struct redis_server server = {.name = slice_of("here"),
                                  .endpoint = {.kind = ENDPOINT_IP, .address = *address}};
    const struct redis_spec spec = {
        .servers = &server, .server_count = 1, .timeout_ms = timeout_ms, .fingerprint = timeout_ms};

    redis_client_follow(client, &spec, NULL, 0);
}

static void take_answer(void *owner)
{
    struct asker *asker = owner;
    int64_t value = 0;

    if (asker->call == NULL)
        return;
    asker->answer = redis_call_answer(asker->call, &value, 1);
    if (asker->answer == IO_WAIT)
        return;
    redis_call_end(asker->call);
    asker->call = NULL;
    if (--waiting == 0)
        loop_stop(loop);
}

static bool ask(struct asker *asker)
{
    const struct slice words[] = {slice_of("key"), slice_of("argument")};

    task_init(&asker->task, take_answer, asker);
    asker->call = redis_call_begin(client, words, 1, 2, &asker->task);
    waiting += asker->call != NULL;
    return asker->call != NULL;
}

Test(redis_client, nobody_to_ask)
{
    cr_expect_not(ask(&askers[0]));
    redis_client_follow(client, NULL, NULL, 0);
    cr_expect_not(ask(&askers[0]));
}

/* So many that wait for one that does not answer, and no more; all are told in the end. */
Test(redis_client, calls_have_a_bound)
{
    struct address address;
    int fd = loopback_listen(&address);
    unsigned count = 0;

    follow(&address, 50);
    while (count < CALLS && ask(&askers[count]))
        count++;
    cr_expect_eq(count, 4096);
    loop_run(loop);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(askers[i].answer, IO_ERROR);
    cr_expect_not(ask(&askers[0]), "it is known not to answer");
    close(fd);
}

Test(redis_client, calls_that_are_called_off)
{
    struct address address;
    int fd = loopback_listen(&address);

    follow(&address, 60 * 1000);
    for (unsigned i = 0; i < 100; i++)
        cr_assert(ask(&askers[i]));
    for (unsigned i = 0; i < 100; i += 2) {
        redis_call_end(askers[i].call);
        askers[i].call = NULL;
        waiting--;
    }
    redis_client_follow(client, NULL, NULL, 0);
    loop_run(loop);
    for (unsigned i = 1; i < 100; i += 2)
        cr_assert_eq(askers[i].answer, IO_ERROR);
    close(fd);
}

/* --- one that answers as it is told -------------------------------------------------------------
 */

#define GREETING "+OK\r\n$40\r\n0123456789abcdef0123456789abcdef01234567\r\n"

struct server {
    int listener;
    const char *greeting, *answer;
    bool stays;
};

static bool wait_for(int peer, const char *word)
{
    char bytes[4096] = "";
    size_t length = 0;
    ssize_t got = 1;

    while (got > 0 && strstr(bytes, word) == NULL) {
        got = recv(peer, bytes + length, sizeof(bytes) - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
        bytes[length] = '\0';
    }
    return got > 0;
}

static void send_slowly(int peer, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        send(peer, bytes, 1, MSG_NOSIGNAL);
}

/* Waits for the end of each question, answers byte by byte, and leaves after the second, if it does
 * not stay. */
static void *serve(void *owner)
{
    struct server *server = owner;
    int peer = accept(server->listener, NULL, NULL), on = 1;

    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (wait_for(peer, "return {1}")) {
        send_slowly(peer, server->greeting);
        if (wait_for(peer, "argument"))
            send_slowly(peer, server->answer);
    }
    if (!server->stays)
        shutdown(peer, SHUT_WR);
    while (recv(peer, &(char){0}, 1, 0) > 0)
        ;
    close(peer);
    return NULL;
}

/* What becomes of a call that is answered so. */
static enum io ask_server(struct server *server)
{
    struct address address;
    pthread_t thread;

    server->listener = loopback_listen(&address);
    cr_assert_eq(pthread_create(&thread, NULL, serve, server), 0);
    follow(&address, server->stays ? 600 * 1000 : 30 * 1000);
    cr_assert(ask(&askers[0]), "%s", server->answer);
    loop_run(loop);
    close(server->listener);
    redis_client_follow(client, NULL, NULL, 0);
    pthread_join(thread, NULL);
    return askers[0].answer;
}

static enum io ask_one(const char *greeting, const char *answer)
{
    struct server server = {.greeting = greeting, .answer = answer};

    return ask_server(&server);
}

Test(redis_client, an_answer_in_pieces)
{
    cr_expect_eq(ask_one(GREETING, "*1\r\n:7\r\n"), IO_OK);
    cr_expect_eq(ask_one(GREETING, "*1\r\n:-1\r\n"), IO_OK);
}

Test(redis_client, answers_that_are_none)
{
    static const char *const answers[] = {
        "",
        "*1\r\n:",
        "*0\r\n",
        "*-1\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "*1\r\n$1\r\n7\r\n",
        "*1\r\n*1\r\n:7\r\n",
        ":7\r\n",
        "$-1\r\n",
        "+OK\r\n",
        "-ERR no\r\n",
        "-WRONGTYPE of value\r\n",
        "-READONLY replica\r\n",
        "-NOSCRIPT no\r\n+OK\r\n-NOSCRIPT no\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        cr_expect_eq(ask_one(GREETING, answers[i]), IO_ERROR, "%zu: %s", i, answers[i]);
}

static void give_up_at_once(const char *answer)
{
    struct server server = {.greeting = GREETING, .answer = answer, .stays = true};

    cr_expect_eq(ask_server(&server), IO_ERROR);
}

/* Lists in lists whose end is never reached, in more bytes than any answer has. */
static char *endless_answer(void)
{
    enum { DEPTH = 6, VALUES = 30 * 1000, MOST = 10 };
    char *answer = memory_array((DEPTH + VALUES) * MOST + 1, 1), *at = answer;

    for (int i = 0; i < DEPTH; i++)
        at += sprintf(at, "*33\r\n");
    for (int i = 0; i < VALUES; i++)
        at += sprintf(at, ":123456\r\n");
    return answer;
}

/* What says that it is longer than any answer is not waited for: room for it is not even made. */
Test(redis_client, answers_that_are_too_long)
{
    char *endless = endless_answer();

    give_up_at_once("*34\r\n:1\r\n");
    give_up_at_once("*2000000000\r\n:1\r\n");
    give_up_at_once(endless);
    free(endless);
}

Test(redis_client, greetings_that_are_none)
{
    static const char *const greetings[] = {

        "+OK\r\n+OK\r\n",     "+OK\r\n$3\r\nabc\r\n", "-NOAUTH\r\n",
        "+OK\r\n-NOPERM\r\n", "garbage\r\n",
    };

    for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++)
        cr_expect_eq(ask_one(greetings[i], "*1\r\n:7\r\n"), IO_ERROR, "%s", greetings[i]);
}
