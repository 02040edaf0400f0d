/* Streams over real sockets: what is asked of the kernel, what wakes, and how they end. */
#include "net/tcp_stream.h"

#include "base/clock.h"
#include "support/loopback.h"
#include "support/syscalls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* A stream under test, the task that it wakes, and the peer's end, which blocks. */
struct end {
    struct stream *stream;
    struct task task;
    struct deadline patience;
    struct buffer in;
    unsigned wakes;
    int peer;
};

static struct loop *loop;
static struct end end;

static void note_wake(void *owner)
{
    struct end *woken = owner;
    woken->wakes++;
    loop_stop(loop);
}

static void set_up(void)
{
    loop = loop_new();
    cr_assert_not_null(loop);
}

static void tear_down(void)
{
    deadline_clear(&end.patience);
    if (end.stream != NULL)
        stream_close(end.stream);
    if (end.peer > 0)
        close(end.peer);
    buffer_clear(&end.in);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(tcp_stream, .init = set_up, .fini = tear_down, .timeout = 240);

static void open_over(int fd, int peer)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    end.peer = peer;
    task_init(&end.task, note_wake, &end);
    deadline_init(&end.patience, &end.task);
    end.stream = tcp_stream_new(loop, fd, &end.task);
    cr_assert_not_null(end.stream);
}

static void open_local(void)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_over(fds[0], fds[1]);
}

static void open_tcp(void)
{
    struct address address;
    int listener = loopback_listen(&address), peer = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(peer, &address.as.any, address.length), 0);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    open_over(fd, peer);
}

/* Runs the loop until the stream wakes its task. */
static void wait_for_wake(void)
{
    unsigned before = end.wakes;
    loop_run(loop);
    cr_assert_eq(end.wakes, before + 1);
}

/* Runs the loop for `ms`, in which the stream wakes nobody; returns how often the loop slept. */
static uint64_t wait_in_vain(uint64_t ms)
{
    uint64_t before = loop_sleeps(loop);
    deadline_set(loop, &end.patience, ms);
    wait_for_wake();
    cr_assert(deadline_passed(loop, &end.patience), "the stream woke its task");
    deadline_clear(&end.patience);
    return loop_sleeps(loop) - before;
}

static void peer_says(const char *text)
{
    cr_assert_eq(write(end.peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void peer_hears(const char *text)
{
    char heard[100] = "";
    cr_assert_eq(recv(end.peer, heard, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
    cr_assert_str_eq(heard, text);
}

static void peer_resets(void)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(end.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(end.peer);
    end.peer = -1;
}

static enum io read_some(size_t room)
{
    buffer_clear(&end.in);
    cr_assert(buffer_reserve(&end.in, BUFFER_SMALL));
    end.in.capacity = (uint32_t)room;
    enum io io = stream_read(end.stream, &end.in);
    end.in.capacity = BUFFER_SMALL;
    return io;
}

static void assert_reads(const char *expected)
{
    cr_assert_eq(read_some(BUFFER_SMALL), IO_OK);
    struct slice content = buffer_content(&end.in);
    cr_assert(slice_equal(content, slice_of(expected)), "%.*s", (int)content.len, content.at);
}

static enum io write_text(const char *text, size_t *taken)
{
    return stream_write(end.stream, slice_of(text), taken);
}

/* --- reading -------------------------------------------------------------------------------------
 */

Test(tcp_stream, asks_the_kernel_only_when_there_may_be_something)
{
    open_local();
    unsigned before = syscall_counts.recv;
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    cr_assert_eq(syscall_counts.recv, before);
    peer_says("hello");
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT, "the loop has not seen it yet");
    wait_for_wake();
    assert_reads("hello");
    cr_assert_eq(syscall_counts.recv, before + 1);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT, "a short read: nothing more is there");
    cr_assert_eq(syscall_counts.recv, before + 1);
    peer_says("again");
    wait_for_wake();
    assert_reads("again");
}

Test(tcp_stream, asks_the_kernel_when_in_doubt)
{
    open_local();
    unsigned before = syscall_counts.recv;
    tcp_stream_doubt(end.stream);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    cr_assert_eq(syscall_counts.recv, before + 1);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    cr_assert_eq(syscall_counts.recv, before + 1, "once");
    peer_says("hello");
    tcp_stream_doubt(end.stream);
    assert_reads("hello");
    peer_says("again");
    wait_for_wake();
    assert_reads("again");
}

Test(tcp_stream, reads_what_has_come_by_its_first_ask_without_a_poll)
{
    open_local();
    tcp_stream_ask_first(end.stream);
    peer_says("hello");
    assert_reads("hello");
    peer_says("again");
    wait_for_wake();
    assert_reads("again");
}

Test(tcp_stream, waits_for_what_has_not_come_by_its_first_ask)
{
    open_local();
    unsigned before = syscall_counts.recv;
    tcp_stream_ask_first(end.stream);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    cr_assert_eq(syscall_counts.recv, before + 1, "asked once");
    peer_says("hello");
    wait_for_wake();
    assert_reads("hello");
}

Test(tcp_stream, reads_on_after_a_full_read)
{
    open_local();
    peer_says("abcdefgh");
    wait_for_wake();
    cr_assert_eq(read_some(3), IO_OK);
    cr_assert_eq(buffer_length(&end.in), 3);
    cr_assert_eq(read_some(3), IO_OK);
    cr_assert_eq(read_some(2), IO_OK);
    cr_assert(slice_equal(buffer_content(&end.in), slice_of("gh")));
    cr_assert_eq(read_some(3), IO_WAIT);
    peer_says("i");
    wait_for_wake();
    assert_reads("i");
}

Test(tcp_stream, appends_to_what_the_buffer_holds)
{
    open_local();
    cr_assert(buffer_append_text(&end.in, "before "));
    peer_says("after");
    wait_for_wake();
    cr_assert_eq(stream_read(end.stream, &end.in), IO_OK);
    cr_assert(slice_equal(buffer_content(&end.in), slice_of("before after")));
}

Test(tcp_stream, wakes_whoever_asks_now)
{
    struct end other = {0};
    open_local();
    task_init(&other.task, note_wake, &other);
    end.stream->task = &other.task;
    peer_says("x");
    loop_run(loop);
    cr_assert_eq(other.wakes, 1);
    cr_assert_eq(end.wakes, 0);
    assert_reads("x");

    end.stream->task = NULL; /* nobody asks */
    peer_says("y");
    cr_assert_leq(wait_in_vain(50), 6);
    assert_reads("y");
}

Test(tcp_stream, remembers_the_end)
{
    open_tcp();
    peer_says("last words");
    shutdown(end.peer, SHUT_WR);
    wait_for_wake();
    assert_reads("last words");
    enum io io;
    while ((io = read_some(BUFFER_SMALL)) == IO_WAIT)
        wait_for_wake();
    cr_assert_eq(io, IO_EOF);
    unsigned before = syscall_counts.recv;
    cr_assert_eq(read_some(BUFFER_SMALL), IO_EOF);
    cr_assert_eq(syscall_counts.recv, before);
    cr_assert_eq(tcp_stream_errno(end.stream), 0);

    size_t taken; /* the other direction goes on */
    cr_assert_eq(write_text("answer", &taken), IO_OK);
    peer_hears("answer");
    cr_assert_leq(wait_in_vain(100), 6, "the end is not reported again and again");
}

Test(tcp_stream, tells_a_reset)
{
    open_tcp();
    peer_resets();
    wait_for_wake();
    cr_assert_eq(read_some(BUFFER_SMALL), IO_ERROR);
    cr_assert_eq(tcp_stream_errno(end.stream), ECONNRESET);
    cr_assert_eq(read_some(BUFFER_SMALL), IO_ERROR);
    size_t taken;
    cr_assert_eq(write_text("x", &taken), IO_ERROR);
    cr_assert_eq(write_text("", &taken), IO_ERROR);
    cr_assert_eq(stream_flush(end.stream), IO_ERROR);
    cr_assert_eq(stream_shut(end.stream), IO_ERROR);
    cr_assert_leq(wait_in_vain(100), 6);
}

Test(tcp_stream, ends_in_a_reset_when_told)
{
    char byte;
    open_tcp();
    tcp_stream_close_with_reset(end.stream);
    stream_close(end.stream);
    end.stream = NULL;
    cr_assert_eq(recv(end.peer, &byte, 1, 0), -1);
    cr_assert_eq(errno, ECONNRESET);
}

/* A body that ends with the connection would look whole otherwise. */
Test(tcp_stream, takes_no_reset_for_an_end_although_send_has_swallowed_it)
{
    open_tcp();
    peer_says("half of it");
    wait_for_wake();
    peer_resets();
    size_t taken;
    cr_assert_eq(write_text("x", &taken), IO_ERROR);
    cr_assert_eq(tcp_stream_errno(end.stream), ECONNRESET);
    assert_reads("half of it");
    enum io io;
    while ((io = read_some(BUFFER_SMALL)) == IO_WAIT)
        wait_for_wake();
    cr_assert_eq(io, IO_ERROR);
    cr_assert_eq(tcp_stream_errno(end.stream), ECONNRESET);
}

/* The peer answers early, closes, and resets because of what it did not read: its answer is whole.
 */
Test(tcp_stream, reads_an_answer_whose_end_came_before_the_reset)
{
    open_tcp();
    size_t taken;
    cr_assert_eq(write_text("never read", &taken), IO_OK);
    peer_says("early answer");
    shutdown(end.peer, SHUT_WR);
    close(end.peer);
    end.peer = -1;
    wait_for_wake();
    cr_assert_eq(write_text("more", &taken), IO_ERROR);
    cr_assert_eq(tcp_stream_errno(end.stream), EPIPE);
    assert_reads("early answer");
    enum io io;
    while ((io = read_some(BUFFER_SMALL)) == IO_WAIT)
        wait_for_wake();
    cr_assert_eq(io, IO_EOF);
}

/* --- writing -------------------------------------------------------------------------------------
 */

static size_t write_until_full(void)
{
    static char bytes[50000];
    size_t total = 0, taken = 0;
    while (stream_write(end.stream, slice_make(bytes, sizeof(bytes)), &taken) == IO_OK) {
        cr_assert_gt(taken, 0);
        total += taken;
    }
    cr_assert_eq(taken, 0);
    return total;
}

static void peer_drains(size_t bytes)
{
    static char into[100000];
    while (bytes > 0) {
        ssize_t n = read(end.peer, into, bytes < sizeof(into) ? bytes : sizeof(into));
        cr_assert_gt(n, 0);
        bytes -= (size_t)n;
    }
}

static void fill_and_drain(void)
{
    for (int i = 0; i < 3; i++) {
        size_t total = write_until_full(), taken;
        unsigned before = syscall_counts.send;
        cr_assert_eq(write_text("x", &taken), IO_WAIT);
        cr_assert_eq(write_text("", &taken), IO_WAIT);
        cr_assert_eq(syscall_counts.send, before, "full is known");
        cr_assert_eq(stream_flush(end.stream), IO_OK, "nothing is held here");
        cr_assert_leq(wait_in_vain(30), 6);
        peer_drains(total);
        wait_for_wake();
        cr_assert_eq(write_text("", &taken), IO_OK);
    }
    cr_assert_leq(wait_in_vain(100), 6,
                  "room that nobody asks for is not reported again and again");
}

Test(tcp_stream, waits_for_room_in_a_unix_socket)
{
    open_local();
    fill_and_drain();
}

Test(tcp_stream, waits_for_room_in_a_tcp_socket)
{
    open_tcp();
    fill_and_drain();
}

Test(tcp_stream, waits_for_both_directions_at_once)
{
    open_tcp();
    size_t total = write_until_full(), taken;
    cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
    peer_says("question");
    wait_for_wake();
    assert_reads("question");
    cr_assert_eq(write_text("x", &taken), IO_WAIT, "it is still full");
    peer_drains(total);
    wait_for_wake();
    cr_assert_eq(write_text("x", &taken), IO_OK);
    peer_says("another");
    wait_for_wake();
    assert_reads("another");
}

Test(tcp_stream, a_direction_that_rests_leaves_the_other_awake)
{
    open_tcp();
    peer_says("later");
    wait_for_wake();
    cr_assert_leq(wait_in_vain(30), 6, "reading rests");
    peer_drains(write_until_full());
    wait_for_wake();
    cr_assert_leq(wait_in_vain(30), 6, "and now writing too");
    assert_reads("later");
    peer_says("heard");
    wait_for_wake();
    assert_reads("heard");
    cr_assert_leq(wait_in_vain(30), 6);
}

Test(tcp_stream, ends_its_own_direction_alone)
{
    open_tcp();
    size_t taken;
    cr_assert_eq(write_text("question", &taken), IO_OK);
    cr_assert_eq(taken, 8);
    cr_assert_eq(stream_shut(end.stream), IO_OK);
    cr_assert_eq(stream_shut(end.stream), IO_OK);
    peer_hears("question");
    char none;
    cr_assert_eq(read(end.peer, &none, 1), 0);
    peer_says("answer");
    wait_for_wake();
    assert_reads("answer");
}

/* MSG_NOSIGNAL: the test would die of SIGPIPE. */
Test(tcp_stream, survives_a_peer_that_has_gone)
{
    open_local();
    close(end.peer);
    end.peer = -1;
    size_t taken;
    cr_assert_eq(write_text("x", &taken), IO_ERROR);
    cr_assert_eq(tcp_stream_errno(end.stream), EPIPE);
}

/* --- sleeping and system calls -------------------------------------------------------------------
 */

Test(tcp_stream, a_waiting_connection_lets_the_loop_sleep)
{
    open_tcp();
    peer_says("something that nobody reads");
    wait_for_wake();
    cr_assert_leq(wait_in_vain(200), 6);
    peer_says(", and more");
    cr_assert_leq(wait_in_vain(200), 6);
    assert_reads("something that nobody reads, and more");
    peer_says("heard again");
    wait_for_wake();
    assert_reads("heard again");
    close(end.peer);
    end.peer = -1;
    wait_for_wake();
    cr_assert_leq(wait_in_vain(200), 6, "an end that nobody asks for");
    cr_assert_eq(read_some(BUFFER_SMALL), IO_EOF);
}

Test(tcp_stream, one_recv_and_one_send_a_message_and_nothing_else)
{
    enum { MESSAGES = 1000 };
    open_tcp();
    loop_wake(loop, &end.task);
    wait_for_wake();
    peer_says("warm");
    wait_for_wake();
    assert_reads("warm");

    struct syscall_counts before = syscall_counts;
    uint64_t sleeps = loop_sleeps(loop);
    for (int i = 0; i < MESSAGES; i++) {
        size_t taken;
        peer_says("question");
        wait_for_wake();
        assert_reads("question");
        cr_assert_eq(read_some(BUFFER_SMALL), IO_WAIT);
        cr_assert_eq(write_text("answer", &taken), IO_OK);
    }
    cr_assert_eq(syscall_counts.recv - before.recv, MESSAGES);
    cr_assert_eq(syscall_counts.send - before.send, MESSAGES);
    cr_assert_eq(syscall_counts.epoll_ctl - before.epoll_ctl, 0);
    cr_assert_eq(loop_sleeps(loop) - sleeps, MESSAGES);
}

/* Whoever peeks and takes what there is, however little, is woken by what comes next alone. */
Test(tcp_stream, what_was_peeked_at_is_there_to_be_taken)
{
    char bytes[16];
    size_t got;
    open_tcp();
    loop_wake(loop, &end.task);
    wait_for_wake();
    peer_says("headstream");
    wait_for_wake();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tcp_stream_peek(end.stream, bytes, sizeof(bytes), &got), IO_OK);
        cr_assert_eq(got, 10);
    }
    cr_assert_eq(tcp_stream_recv(end.stream, bytes, 4, &got), IO_OK);
    cr_assert_arr_eq(bytes, "head", 4);
    cr_assert_eq(tcp_stream_peek(end.stream, bytes, sizeof(bytes), &got), IO_OK);
    cr_assert_arr_eq(bytes, "stream", got);
    cr_assert_eq(tcp_stream_recv(end.stream, bytes, got, &got), IO_OK);
    cr_assert_eq(tcp_stream_peek(end.stream, bytes, sizeof(bytes), &got), IO_WAIT);
    cr_assert_leq(wait_in_vain(50), 3);
    peer_says("more");
    wait_for_wake();
    cr_assert_eq(tcp_stream_peek(end.stream, bytes, sizeof(bytes), &got), IO_OK);
    close(end.peer);
    end.peer = -1;
    assert_reads("more");
    wait_for_wake();
    cr_assert_eq(tcp_stream_peek(end.stream, bytes, sizeof(bytes), &got), IO_EOF);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void close_in_own_run(void *owner)
{
    struct end *closing = owner;
    stream_close(closing->stream);
    closing->stream = NULL;
    loop_stop(loop);
}

Test(tcp_stream, may_be_closed_in_the_run_it_woke)
{
    open_tcp();
    end.task.run = close_in_own_run;
    peer_says("x");
    loop_run(loop);
    cr_assert_null(end.stream);
    end.task.run = note_wake;
    cr_assert_leq(wait_in_vain(30), 6);
}

Test(tcp_stream, may_be_closed_while_its_task_is_queued)
{
    open_tcp();
    peer_says("x");
    loop_wake(loop, &end.task);
    stream_close(end.stream);
    end.stream = NULL;
    wait_for_wake();
    cr_assert_leq(wait_in_vain(30), 6);
}

/* The next socket gets the same number: it must not inherit the loop's idea of the old one. */
Test(tcp_stream, a_new_stream_may_have_the_number_of_an_old_one)
{
    open_local();
    for (int i = 0; i < 100; i++) {
        int fd = tcp_stream_fd(end.stream);
        if (i % 3 == 0) {
            peer_says("left unread");
            wait_for_wake();
        }
        if (i % 5 == 0)
            write_until_full(); /* the write watcher runs, too */
        close(end.peer);
        stream_close(end.stream);
        open_local();
        cr_assert_eq(tcp_stream_fd(end.stream) == fd || end.peer == fd, true);
        end.wakes = 0;
        peer_says("to the new one");
        wait_for_wake();
        assert_reads("to the new one");
    }
}

/* Of many who wait for a handshake: each round of the loop takes longer than patient ones may. */
struct newcomer {
    struct task task;
    unsigned epoll_ctls; /* that had been made when it ran */
};

static void take_a_round(void *owner)
{
    struct newcomer *newcomer = owner;
    uint64_t began_us = clock_monotonic_us();
    newcomer->epoll_ctls = syscall_counts.epoll_ctl;
    while (clock_monotonic_us() - began_us < 500)
        continue;
}

Test(tcp_stream, is_not_reported_again_and_again_while_its_task_waits_its_turn)
{
    enum { CROWD = 10 };
    struct newcomer crowd[CROWD];
    open_local();
    end.task.is_patient = true;
    for (int i = 0; i < CROWD; i++) {
        task_init(&crowd[i].task, take_a_round, &crowd[i]);
        crowd[i].task.is_patient = true;
        loop_wake(loop, &crowd[i].task);
    }
    peer_says("hello");
    wait_for_wake();
    cr_assert_eq(crowd[CROWD - 1].epoll_ctls, crowd[1].epoll_ctls + 1, "not taken out");
    assert_reads("hello");
    peer_says("again");
    wait_for_wake();
    assert_reads("again");
}

Test(tcp_stream, knows_that_the_peer_has_left_before_its_bytes_are_read)
{
    open_tcp();
    peer_says("hello");
    cr_assert(!tcp_stream_peer_has_left(end.stream));
    shutdown(end.peer, SHUT_WR);
    cr_assert(tcp_stream_peer_has_left(end.stream));
    wait_for_wake();
    assert_reads("hello");
}

Test(tcp_stream, says_what_it_is_made_of)
{
    open_tcp();
    cr_assert_eq(tcp_stream_loop(end.stream), loop);
    int fd = tcp_stream_fd(end.stream);
    cr_assert_geq(fd, 0);
    stream_close(end.stream);
    end.stream = NULL;
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "closed");
}
