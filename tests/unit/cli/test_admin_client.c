#include "cli/admin_client.h"

#include "support/loopback.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Somebody who reads a request and answers what the test says. */
struct answerer {
    pthread_t thread;
    int listener;
    const char *answer; /* NULL: none */
    bool stays;         /* keeps the connection open until the test ends */
    char text[ADDRESS_TEXT_SIZE];
    char request[1024];
    int held;
};

static void *answer(void *owner)
{
    struct answerer *answerer = owner;
    int fd = accept(answerer->listener, NULL, NULL);
    size_t length = 0;
    while (strstr(answerer->request, "\r\n\r\n") == NULL) {
        ssize_t got =
            recv(fd, answerer->request + length, sizeof(answerer->request) - 1 - length, 0);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (answerer->answer != NULL)
        send(fd, answerer->answer, strlen(answerer->answer), MSG_NOSIGNAL);
    answerer->held = fd;
    if (!answerer->stays) {
        close(fd);
        answerer->held = -1;
    }
    return NULL;
}

static struct answerer *answerer_start(const char *text, bool stays)
{
    static struct answerer answerer;
    struct address address;
    answerer = (struct answerer){.answer = text, .stays = stays, .held = -1};
    answerer.listener = loopback_listen(&address);
    address_format(&address, answerer.text);
    pthread_create(&answerer.thread, NULL, answer, &answerer);
    return &answerer;
}

static void answerer_end(struct answerer *answerer)
{
    pthread_join(answerer->thread, NULL);
    close(answerer->listener);
    if (answerer->held >= 0)
        close(answerer->held);
}

static int status;
static char body[1024];
static struct error error;

static enum admin_result ask(const char *address, unsigned timeout_ms)
{
    struct buffer out = {0};
    const struct admin_request request = {.address = address,
                                          .method = "POST",
                                          .path = "/reload",
                                          .accept = "text/plain",
                                          .timeout_ms = timeout_ms};
    error = (struct error){""};
    enum admin_result result = admin_client_ask(&request, &status, &out, &error);
    slice_copy_text(buffer_content(&out), body, sizeof(body));
    buffer_clear(&out);
    buffer_cache_clear();
    return result;
}

static enum admin_result ask_answerer(const char *text)
{
    struct answerer *answerer = answerer_start(text, false);
    enum admin_result result = ask(answerer->text, 10 * 1000);
    answerer_end(answerer);
    return result;
}

Test(admin_client, an_answer)
{
    struct answerer *answerer =
        answerer_start("HTTP/1.1 422 Unprocessable\r\nContent-Length: 5\r\n\r\nhello", false);
    cr_expect_eq(ask(answerer->text, 10 * 1000), ADMIN_ANSWERED);
    answerer_end(answerer);
    cr_expect_eq(status, 422);
    cr_expect_str_eq(body, "hello");
    cr_expect_eq(strncmp(answerer->request, "POST /reload HTTP/1.1\r\n", 23), 0);
    cr_expect_not_null(strstr(answerer->request, "\r\nAccept: text/plain\r\n"));
}

Test(admin_client, without_a_length_it_ends_with_the_connection)
{
    cr_expect_eq(ask_answerer("HTTP/1.1 200 OK\r\n\r\nall of it"), ADMIN_ANSWERED);
    cr_expect_str_eq(body, "all of it");
}

Test(admin_client, what_is_no_whole_answer)
{
    static const char *const answers[] = {
        NULL,
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        cr_expect_eq(ask_answerer(answers[i]), ADMIN_BROKEN, "%zu", i);
        cr_expect_str_not_empty(error.message);
        cr_expect_str_empty(body);
    }
}

Test(admin_client, nobody_there)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    int fd = loopback_refuse(&address);
    address_format(&address, text);
    cr_expect_eq(ask(text, 10 * 1000), ADMIN_UNREACHABLE);
    cr_expect_not_null(strstr(error.message, "refused"));
    close(fd);
    cr_expect_eq(ask("unix:/nowhere/admin.sock", 1000), ADMIN_UNREACHABLE);
    cr_expect_eq(ask("no address at all", 1000), ADMIN_UNREACHABLE);
}

Test(admin_client, an_answer_that_never_comes)
{
    struct answerer *answerer = answerer_start(NULL, true);
    cr_expect_eq(ask(answerer->text, 50), ADMIN_BROKEN);
    cr_expect_not_null(strstr(error.message, "in time"));
    answerer_end(answerer);
}

Test(admin_client, unix_sockets_by_path_too)
{
    char folder[] = "/tmp/client-XXXXXX", path[64], address_text[80];
    struct address address;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(address_text, sizeof(address_text), "unix:%s", path);
    int fd = loopback_listen_unix(path, 4, &address);
    cr_expect(admin_client_connects(address_text, 1000, &error));
    cr_expect(admin_client_connects(path, 1000, &error));
    close(fd);
    cr_expect_not(admin_client_connects(path, 1000, &error));
    unlink(path);
    rmdir(folder);
}

Test(admin_client, what_listens_everywhere_and_names)
{
    struct address address;
    char text[64];
    int fd = loopback_listen(&address);
    snprintf(text, sizeof(text), ":%u", address_port(&address));
    cr_expect(admin_client_connects(text, 1000, &error), "%s", error.message);
    snprintf(text, sizeof(text), "localhost:%u", address_port(&address));
    cr_expect(admin_client_connects(text, 1000, &error), "%s", error.message);
    close(fd);
    cr_expect_not(admin_client_connects(text, 1000, &error));
}
