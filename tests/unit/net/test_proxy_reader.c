/* Taking a PROXY protocol header off a socket: exactly it, however it comes, without a busy loop.
 */
#include "net/proxy_reader.h"

#include "net/tcp_stream.h"
#include "support/loopback.h"
#include "support/syscalls.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#define LINE "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"

static struct loop *loop;
static struct stream *stream;
static struct task task;
static struct deadline patience;
static struct buffer held;
static struct proxy_header header;
static enum proxy_problem problem;
static int peer;

static void note_wake(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void set_up(void)
{
    struct address address;
    int listener = loopback_listen(&address);

    loop = loop_new();
    task_init(&task, note_wake, NULL);
    deadline_init(&patience, &task);
    peer = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(peer, &address.as.any, address.length), 0);
    int fd = accept(listener, NULL, NULL);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    close(listener);
    stream = tcp_stream_new(loop, fd, &task);
    loop_wake(loop, &task);
    loop_run(loop);
}

static void tear_down(void)
{
    deadline_clear(&patience);
    stream_close(stream);
    if (peer >= 0)
        close(peer);
    buffer_clear(&held);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(proxy_reader, .init = set_up, .fini = tear_down, .timeout = 240);

static void peer_says(const char *bytes, size_t length)
{
    cr_assert_eq(write(peer, bytes, length), (ssize_t)length);
    loop_run(loop);
}

static enum proxy_read ask(void)
{
    return proxy_header_read(stream, &held, &header, &problem);
}

/* What is left on the stream begins with it. */
static void expect_next(const char *text)
{
    char bytes[100] = "";
    size_t got = 0;

    cr_assert_eq(tcp_stream_recv(stream, bytes, strlen(text), &got), IO_OK);
    cr_expect_str_eq(bytes, text);
}

Test(proxy_reader, takes_the_header_alone)
{
    peer_says(LINE "hello", strlen(LINE "hello"));
    cr_assert_eq(ask(), PROXY_READ_DONE);
    cr_expect(header.names_ends);
    cr_expect_eq(address_port(&header.source), 56324);
    expect_next("hello");
}

Test(proxy_reader, takes_it_in_pieces)
{
    for (size_t i = 0; i < strlen(LINE) - 1; i++) {
        peer_says(&LINE[i], 1);
        cr_assert_eq(ask(), PROXY_READ_WAIT);
        cr_assert_eq(buffer_length(&held), i + 1);
    }
    peer_says("\nhello", 6);
    cr_assert_eq(ask(), PROXY_READ_DONE);
    expect_next("hello");
}

/* A piece of a header keeps neither the loop awake nor the kernel busy. */
Test(proxy_reader, waits_without_a_busy_loop)
{
    peer_says("PROXY", 5);
    cr_assert_eq(ask(), PROXY_READ_WAIT);
    struct syscall_counts before = syscall_counts;
    uint64_t sleeps = loop_sleeps(loop);
    deadline_set(loop, &patience, 50);
    loop_run(loop);
    cr_assert(deadline_passed(loop, &patience));
    cr_expect_leq(loop_sleeps(loop) - sleeps, 3);
    cr_expect_eq(syscall_counts.recv, before.recv);
    deadline_clear(&patience);
    peer_says(&LINE[5], strlen(LINE) - 5);
    cr_assert_eq(ask(), PROXY_READ_DONE);
}

Test(proxy_reader, holds_no_memory_before_anything_came)
{
    cr_assert_eq(ask(), PROXY_READ_WAIT);
    cr_expect_null(held.base);
}

Test(proxy_reader, says_what_is_wrong)
{
    peer_says("PROXY TCP4 1.2.3.4\r\n", 20);
    cr_assert_eq(ask(), PROXY_READ_BAD);
    cr_expect_eq(problem, PROXY_MALFORMED);
}

Test(proxy_reader, tells_that_the_peer_has_left)
{
    cr_assert_eq(ask(), PROXY_READ_WAIT);
    peer_says("PROXY", 5);
    cr_assert_eq(ask(), PROXY_READ_WAIT);
    close(peer);
    peer = -1;
    loop_run(loop);
    cr_assert_eq(ask(), PROXY_READ_GONE);
    cr_expect_eq(buffer_length(&held), 5);
}
