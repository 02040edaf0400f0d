/* Keys fetched from a server that the test plays on a real socket, between turns of the loop. */
#include "control/key_fetch.h"

#include "base/buffer.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct task task;
static struct deadline tick;
static struct key_fetch *fetch;
static struct key_answer answer;
static int listener, peer;
static char url[128], request[4096];

static void end_turn(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void begin(void)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE];

    loop = loop_new();
    task_init(&task, end_turn, NULL);
    deadline_init(&tick, &task);
    listener = loopback_listen(&address);
    address_format(&address, text);
    snprintf(url, sizeof(url), "http://%s/jwks?v=1", text);
    fetch = key_fetch_start(loop, NULL, url, &task);
}

static void end(void)
{
    close(listener);
    if (peer > 0)
        close(peer);
    key_fetch_end(fetch);
    deadline_clear(&tick);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(key_fetch, .init = begin, .fini = end);

/* Whether it has come to something; else the loop has turned once. */
static bool is_done(void)
{
    if (key_fetch_answer(fetch, &answer) == IO_OK)
        return true;
    deadline_set(loop, &tick, 1);
    loop_run(loop);
    return false;
}

static void take_request(void)
{
    struct pollfd arrival = {.fd = listener, .events = POLLIN};
    size_t length = 0;

    while (poll(&arrival, 1, 0) == 0)
        cr_assert_not(is_done());
    peer = accept(listener, NULL, NULL);
    while (length < 4 || memcmp(request + length - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(peer, request + length, sizeof(request) - 1 - length, MSG_DONTWAIT);
        cr_assert(got > 0 || (got < 0 && errno == EAGAIN));
        length += got > 0 ? (size_t)got : 0;
        cr_assert_not(is_done());
    }
}

static void answer_with(const char *text)
{
    take_request();
    cr_assert_eq(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    while (!is_done())
        ;
}

Test(key_fetch, asks_for_what_the_url_says)
{
    answer_with("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    cr_assert_null(answer.why);
    cr_assert(slice_equal(answer.bytes, slice_of("{}")));
    cr_assert_not(answer.has_max_age);
    cr_assert(strncmp(request, "GET /jwks?v=1 HTTP/1.1\r\n", 24) == 0, "%s", request);
    cr_assert(strstr(request, "\r\nHost: 127.0.0.1:"), "%s", request);
}

Test(key_fetch, reads_for_how_long_it_is_good)
{
    answer_with("HTTP/1.1 200 OK\r\nCache-Control: public, Max-Age=600\r\nTransfer-Encoding: "
                "chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
    cr_assert_null(answer.why);
    cr_assert(slice_equal(answer.bytes, slice_of("{}")));
    cr_assert(answer.has_max_age);
    cr_assert_eq(answer.max_age_s, 600);
    cr_assert_eq(key_fetch_good_for_ms(&answer), 600 * 1000);
}

Test(key_fetch, what_is_cut_is_no_answer)
{
    take_request();
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}";
    cr_assert_eq(send(peer, half, strlen(half), MSG_NOSIGNAL), (ssize_t)strlen(half));
    close(peer);
    peer = 0;
    while (!is_done())
        ;
    cr_assert_not_null(answer.why);
    cr_assert_eq(answer.bytes.len, 0);
}

static uint64_t good_for(bool has_max_age, uint64_t max_age_s)
{
    return key_fetch_good_for_ms(
        &(struct key_answer){.has_max_age = has_max_age, .max_age_s = max_age_s});
}

Test(key_fetch, is_fetched_again_within_bounds)
{
    cr_assert_eq(good_for(false, 0), KEYS_FETCHED_EVERY_MS);
    cr_assert_eq(good_for(true, 0), KEYS_FETCHED_LEAST_MS);
    cr_assert_eq(good_for(true, 59), KEYS_FETCHED_LEAST_MS);
    cr_assert_eq(good_for(true, 61), 61 * 1000);
    cr_assert_eq(good_for(true, 3601), KEYS_FETCHED_MOST_MS);
    cr_assert_eq(good_for(true, UINT64_MAX), KEYS_FETCHED_MOST_MS);
}

Test(key_fetch, is_tried_again_later_and_later)
{
    cr_assert_eq(key_fetch_retry_ms(1), KEYS_RETRY_LEAST_MS);
    cr_assert_eq(key_fetch_retry_ms(2), 2 * KEYS_RETRY_LEAST_MS);
    cr_assert_eq(key_fetch_retry_ms(5), 16 * KEYS_RETRY_LEAST_MS);
    cr_assert_eq(key_fetch_retry_ms(7), KEYS_RETRY_MOST_MS);
    cr_assert_eq(key_fetch_retry_ms(100000), KEYS_RETRY_MOST_MS);
}
