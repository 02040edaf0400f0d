/* The floor as a whole: an echo through listener, loop and streams, with hundreds of connections.
 */
#include "net/listener.h"
#include "net/tcp_stream.h"

#include "support/syscalls.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static struct loop *loop;
static struct address address;

/* --- the echo: says what it hears, until the client has ended; one moving object of the idiom ----
 */

enum echo_state { ECHO_RELAY, ECHO_SHUT, ECHO_DONE };

struct echo {
    struct task task;
    struct stream *stream;
    struct buffer bytes;
    struct deadline patience;
    enum echo_state state;
};

static unsigned echoes_open, echoes_failed;

static void free_echo(void *owner)
{
    free(owner);
    echoes_open--;
}

static void end_echo(struct echo *echo)
{
    echo->state = ECHO_DONE;
    stream_close(echo->stream);
    deadline_clear(&echo->patience);
    buffer_clear(&echo->bytes);
    loop_bury(loop, &echo->task, free_echo);
}

/* IO_EOF: everything that the client said was sent back. */
static enum io relay(struct echo *echo)
{
    for (;;) {
        if (buffer_length(&echo->bytes) == 0) {
            if (!buffer_reserve(&echo->bytes, BUFFER_SMALL))
                return IO_ERROR;
            enum io io = stream_read(echo->stream, &echo->bytes);
            buffer_rest(&echo->bytes);
            if (io != IO_OK)
                return io;
        }
        size_t taken;
        enum io io = stream_write(echo->stream, buffer_content(&echo->bytes), &taken);
        if (io != IO_OK)
            return io;
        buffer_consume(&echo->bytes, taken);
    }
}

static void run_echo(void *owner)
{
    struct echo *echo = owner;
    deadline_set(loop, &echo->patience, 20000);
    enum io io = IO_OK;
    if (echo->state == ECHO_RELAY) {
        io = relay(echo);
        if (io == IO_EOF)
            echo->state = ECHO_SHUT;
    }
    if (echo->state == ECHO_SHUT)
        io = stream_shut(echo->stream);
    if (io == IO_WAIT && !deadline_passed(loop, &echo->patience))
        return;
    echoes_failed += io != IO_OK;
    end_echo(echo);
}

static void start_echo(void *unused, const struct accepted *accepted)
{
    struct echo *echo = memory_new(sizeof(*echo));
    (void)unused;
    task_init(&echo->task, run_echo, echo);
    deadline_init(&echo->patience, &echo->task);
    echo->stream = tcp_stream_new(loop, accepted->fd, &echo->task);
    echoes_open++;
    loop_wake(loop, &echo->task);
}

/* --- clients: say something in pieces, hear it again, byte for byte
 * ------------------------------- */

struct client {
    struct task task;
    struct stream *stream;
    struct buffer heard;
    size_t length, said, heard_count;
    uint64_t seed;
    bool is_shut, is_over;
    bool leaves_early;
};

static unsigned clients_left, clients_failed;

/* The byte at a place in what this client says. */
static char byte_at(const struct client *client, size_t place)
{
    return (char)((place * 2654435761 + client->seed) >> 7);
}

static void end_client(struct client *client, bool failed)
{
    client->is_over = true;
    clients_failed += failed;
    stream_close(client->stream);
    buffer_clear(&client->heard);
    if (--clients_left == 0)
        loop_stop(loop);
}

static enum io say(struct client *client)
{
    char piece[7000];
    while (client->said < client->length) {
        size_t length = client->length - client->said, taken;
        if (length > sizeof(piece))
            length = sizeof(piece) - client->said % 1000;
        for (size_t i = 0; i < length; i++)
            piece[i] = byte_at(client, client->said + i);
        enum io io = stream_write(client->stream, slice_make(piece, length), &taken);
        if (io != IO_OK)
            return io;
        client->said += taken;
    }
    if (client->is_shut)
        return IO_OK;
    client->is_shut = true;
    return stream_shut(client->stream);
}

static enum io hear(struct client *client)
{
    enum io io = IO_ERROR;
    while (buffer_reserve(&client->heard, 1) &&
           (io = stream_read(client->stream, &client->heard)) == IO_OK) {
        struct slice content = buffer_content(&client->heard);
        for (size_t i = 0; i < content.len; i++) {
            if (content.at[i] != byte_at(client, client->heard_count++))
                return IO_ERROR;
        }
        buffer_consume(&client->heard, content.len);
    }
    return io;
}

static void run_client(void *owner)
{
    struct client *client = owner;
    if (client->is_over)
        return;
    enum io said = say(client), heard = hear(client);
    if (said == IO_ERROR || heard == IO_ERROR)
        end_client(client, true);
    else if (heard == IO_EOF)
        end_client(client, client->heard_count != client->length);
    else if (client->leaves_early && client->heard_count > client->length / 2)
        end_client(client, false);
}

static void start_client(struct client *client, size_t length)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, &address.as.any, address.length), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *client = (struct client){.length = length, .seed = (uint64_t)rand()};
    task_init(&client->task, run_client, client);
    client->stream = tcp_stream_new(loop, fd, &client->task);
    loop_wake(loop, &client->task);
    clients_left++;
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static struct listener *listener;

static void set_up(void)
{
    struct rlimit limit;
    struct address addresses[2];
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    cr_assert_eq(listen_address_parse(slice_of("127.0.0.1:0"), addresses, NULL), 1);
    int fd = listen_socket_open(&addresses[0], 0, NULL);
    cr_assert_geq(fd, 0);
    address = addresses[0];
    loop = loop_new();
    listener = listener_new(loop, fd, start_echo, NULL);
}

static void stop_when_alone(void *owner)
{
    struct task *task = owner;
    if (echoes_open == 0)
        loop_stop(loop);
    else
        loop_wake(loop, task);
}

static void tear_down(void)
{
    struct task alone;
    listener_close(listener);
    task_init(&alone, stop_when_alone, &alone);
    loop_wake(loop, &alone);
    loop_run(loop);
    loop_free(loop);
    buffer_cache_clear();
}

TestSuite(echo, .init = set_up, .fini = tear_down, .timeout = 240);

Test(echo, returns_every_byte_to_hundreds_at_once)
{
    enum { CLIENTS = 400 };
    static struct client clients[CLIENTS];
    srand(1);
    for (int i = 0; i < CLIENTS; i++)
        start_client(&clients[i], i % 10 == 0 ? 0 : (size_t)rand() % 200000);
    loop_run(loop);
    cr_assert_eq(clients_failed, 0);
    cr_assert_eq(echoes_failed, 0);
}

Test(echo, outlives_clients_that_leave_in_the_middle)
{
    enum { CLIENTS = 300 };
    static struct client clients[CLIENTS];
    srand(2);
    for (int i = 0; i < CLIENTS; i++) {
        start_client(&clients[i], 50000 + (size_t)rand() % 100000);
        clients[i].leaves_early = i % 3 == 0;
    }
    loop_run(loop);
    cr_assert_eq(clients_failed, 0);
    cr_assert_leq(echoes_failed, CLIENTS / 3);
}

/* --- a round trip: four system calls
 * --------------------------------------------------------------- */

enum { ROUND_TRIPS = 1000 };

struct pinger {
    struct task task;
    struct stream *stream;
    struct buffer heard;
    unsigned trips;
    struct syscall_counts before, after;
};

static void run_pinger(void *owner)
{
    struct pinger *pinger = owner;
    size_t taken;
    if (pinger->trips > 0) {
        cr_assert(buffer_reserve(&pinger->heard, 1));
        enum io io = stream_read(pinger->stream, &pinger->heard);
        if (io == IO_WAIT)
            return;
        cr_assert_eq(io, IO_OK);
        cr_assert_eq(buffer_length(&pinger->heard), 4);
        buffer_clear(&pinger->heard);
    }
    if (pinger->trips == 1) /* everything is registered by now */
        pinger->before = syscall_counts;
    if (pinger->trips++ > ROUND_TRIPS) {
        pinger->after = syscall_counts;
        loop_stop(loop);
        return;
    }
    cr_assert_eq(stream_write(pinger->stream, slice_of("ping"), &taken), IO_OK);
}

Test(echo, takes_four_system_calls_a_round_trip)
{
    struct pinger pinger = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, &address.as.any, address.length), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    task_init(&pinger.task, run_pinger, &pinger);
    pinger.stream = tcp_stream_new(loop, fd, &pinger.task);
    loop_wake(loop, &pinger.task);
    loop_run(loop);
    cr_assert_eq(pinger.after.recv - pinger.before.recv, 2 * ROUND_TRIPS);
    cr_assert_eq(pinger.after.send - pinger.before.send, 2 * ROUND_TRIPS);
    cr_assert_eq(pinger.after.epoll_ctl - pinger.before.epoll_ctl, 0);
    cr_assert_eq(pinger.after.accept4 - pinger.before.accept4, 0);
    stream_close(pinger.stream);
}
