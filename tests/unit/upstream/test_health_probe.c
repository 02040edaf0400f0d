/* Active checks of a server that the test plays on a real socket, between turns of the loop. */
#include "upstream/health_probe.h"

#include "base/buffer.h"
#include "net/descriptors.h"
#include "net/proxy_protocol.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LONG_MS = 60 * 1000, SHORT_MS = 150 };

struct check {
    struct loop *loop;
    struct task task;
    struct deadline tick;
    struct status_range statuses[2];
    struct health_spec spec;
    struct health_question question;
    struct address addresses[3];
    int listener;
    int peer; /* the server's side */
    struct health_probe *probe;
    struct health_outcome outcome;
    int fds; /* open before the probe began */
};

static void end_turn(void *owner)
{
    struct check *c = owner;
    loop_stop(c->loop);
}

static void set_up(struct check *c)
{
    *c = (struct check){.loop = loop_new(), .peer = -1};
    task_init(&c->task, end_turn, c);
    deadline_init(&c->tick, &c->task);
    c->listener = loopback_listen(&c->addresses[0]);
    c->statuses[0] = (struct status_range){200, 399};
    c->spec = (struct health_spec){.is_on = true,
                                   .path = slice_of("/healthz"),
                                   .method = slice_of("GET"),
                                   .statuses = c->statuses,
                                   .status_count = 1,
                                   .timeout_ms = LONG_MS};
    c->question = (struct health_question){.spec = &c->spec,
                                           .addresses = c->addresses,
                                           .address_count = 1,
                                           .host = slice_of("app.test:81")};
}

static void start(struct check *c)
{
    c->fds = open_fd_count();
    c->probe = health_probe_start(c->loop, &c->question, &c->task);
    cr_assert_not_null(c->probe);
}

/* Whether it has come to something; else the loop has turned once. */
static bool is_judged(struct check *c)
{
    if (health_probe_answer(c->probe, &c->outcome) == IO_OK)
        return true;
    deadline_set(c->loop, &c->tick, 1);
    loop_run(c->loop);
    return false;
}

static void accept_probe(struct check *c)
{
    struct pollfd arrival = {.fd = c->listener, .events = POLLIN};
    while (poll(&arrival, 1, 0) == 0)
        cr_assert_not(is_judged(c));
    c->peer = accept(c->listener, NULL, NULL);
}

/* How long it is. */
static size_t take_request(struct check *c, char *request, size_t room)
{
    size_t length = 0;
    accept_probe(c);
    while (length < 4 || memcmp(request + length - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(c->peer, request + length, room - length, MSG_DONTWAIT);
        cr_assert(got > 0 || (got < 0 && errno == EAGAIN));
        length += got > 0 ? (size_t)got : 0;
        cr_assert_not(is_judged(c));
    }
    return length;
}

static void close_peer(struct check *c)
{
    if (c->peer >= 0)
        close(c->peer);
    c->peer = -1;
}

static void end(struct check *c)
{
    close_peer(c);
    health_probe_end(c->probe);
    deadline_clear(&c->tick);
    cr_assert_eq(open_fd_count(), c->fds);
}

static enum health_result judge(struct check *c)
{
    while (!is_judged(c))
        ;
    cr_assert_eq(open_fd_count(), c->fds + (c->peer >= 0), "nothing stays open");
    end(c);
    return c->outcome.result;
}

static void tear_down(struct check *c)
{
    if (c->listener >= 0)
        close(c->listener);
    loop_free(c->loop);
    buffer_cache_clear();
}

enum last_act { STAY, LEAVE, RESET };

/* Until it is judged, in pieces of that size. */
static void send_pieces(struct check *c, struct slice answer, size_t piece_bytes)
{
    while (answer.len > 0 && !is_judged(c)) {
        size_t bytes = answer.len < piece_bytes ? answer.len : piece_bytes;
        ssize_t sent = send(c->peer, answer.at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            answer = slice_skip(answer, (size_t)sent);
    }
}

static enum health_result serve(struct check *c, struct slice answer, size_t piece_bytes,
                                enum last_act last)
{
    char request[1024];
    start(c);
    take_request(c, request, sizeof(request));
    send_pieces(c, answer, piece_bytes);
    const struct linger at_once = {.l_onoff = 1};
    if (last == RESET)
        setsockopt(c->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (last != STAY)
        close_peer(c);
    return judge(c);
}

/* --- the request --------------------------------------------------------------------------- */

static void expect_request(struct check *c, const char *wanted)
{
    char request[1024];
    start(c);
    size_t length = take_request(c, request, sizeof(request));
    cr_assert(slice_equal(slice_make(request, length), slice_of(wanted)), "got %.*s", (int)length,
              request);
    send_pieces(c, slice_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 100);
    cr_assert_eq(judge(c), HEALTH_GOOD);
}

Test(health_probe, asks_with_method_path_and_host)
{
    struct check c;
    set_up(&c);
    expect_request(&c, "GET /healthz HTTP/1.1\r\nHost: app.test:81\r\nUser-Agent: sallyport\r\n"
                       "Connection: close\r\n\r\n");
    c.spec.method = slice_of("HEAD");
    c.spec.path = slice_of("/live?full=1&x=?");
    c.question.host = slice_of("[::1]");
    expect_request(&c, "HEAD /live?full=1&x=? HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: sallyport\r\n"
                       "Connection: close\r\n\r\n");
    c.spec.method = slice_of("POST");
    c.spec.path = slice_of("/");
    expect_request(&c, "POST / HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: sallyport\r\n"
                       "Connection: close\r\nContent-Length: 0\r\n\r\n");
    c.spec.method = slice_of("PING");
    expect_request(&c, "PING / HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: sallyport\r\n"
                       "Connection: close\r\n\r\n");
    tear_down(&c);
}

static void expect_nobodys_header(const char *bytes, size_t length, size_t *header_bytes)
{
    struct proxy_header header;
    enum proxy_problem problem;
    cr_assert_eq(proxy_header_parse(slice_make(bytes, length), &header, header_bytes, &problem),
                 PROXY_DONE);
    cr_assert_not(header.names_ends);
    cr_assert_eq(bytes[0], '\r', "version 2");
}

Test(health_probe, servers_that_are_told_clients_are_told_that_it_is_nobodys)
{
    struct check c;
    char request[1024];
    size_t header_bytes;
    set_up(&c);
    c.question.names_clients = true;
    start(&c);
    size_t length = take_request(&c, request, sizeof(request));
    expect_nobodys_header(request, length, &header_bytes);
    cr_assert(memcmp(request + header_bytes, "GET /healthz ", 13) == 0);
    send_pieces(&c, slice_of("HTTP/1.1 204 No Content\r\n\r\n"), 100);
    cr_assert_eq(judge(&c), HEALTH_GOOD);
    tear_down(&c);
}

Test(health_probe, without_a_path_being_connected_to_is_enough)
{
    struct check c;
    char bytes[64];
    set_up(&c);
    c.spec.path = (struct slice){0};
    for (int names_clients = 0; names_clients < 2; names_clients++) {
        c.question.names_clients = names_clients;
        c.fds = open_fd_count();
        start(&c);
        while (!is_judged(&c))
            ;
        cr_assert_eq(c.outcome.result, HEALTH_GOOD);
        c.peer = accept(c.listener, NULL, NULL);
        ssize_t got = recv(c.peer, bytes, sizeof(bytes), MSG_WAITALL);
        size_t header_bytes = 0;
        if (names_clients)
            expect_nobodys_header(bytes, (size_t)got, &header_bytes);
        cr_assert_eq((size_t)got, header_bytes, "and then its end, in order");
        end(&c);
    }
    tear_down(&c);
}

/* --- answers ------------------------------------------------------------------------------- */

struct answer {
    const char *text;
    const char *body; /* wanted; NULL: none */
    enum last_act last;
    enum health_result result;
    int status;
};

static const struct answer answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", NULL, STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 204 No Content\r\n\r\n", NULL, STAY, HEALTH_GOOD, 204},
    {"HTTP/1.0 399 Odd\r\n\r\n", NULL, LEAVE, HEALTH_GOOD, 399},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", NULL, STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 418 I'm a teapot\r\n\r\n", NULL, STAY, HEALTH_GOOD, 418},
    {"HTTP/1.1 417 No\r\n\r\n", NULL, STAY, HEALTH_STATUS, 417},
    {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nok", "ok", STAY, HEALTH_STATUS,
     503},
    {"HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", NULL, STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
     "HTTP/1.1 500 Internal Server Error\r\n\r\n",
     NULL, STAY, HEALTH_STATUS, 500},
    {"HTTP/1.1 100 Continue\r\n\r\n", NULL, LEAVE, HEALTH_CLOSED, 0},

    {"", NULL, LEAVE, HEALTH_CLOSED, 0},
    {"", NULL, RESET, HEALTH_CLOSED, 0},
    {"HTTP/1.1 200 OK\r\nContent-", NULL, LEAVE, HEALTH_CLOSED, 0},
    {"HTTP/1.1 200 OK\r\nContent-", NULL, RESET, HEALTH_CLOSED, 0},
    {"SSH-2.0-OpenSSH_9.2\r\n", NULL, STAY, HEALTH_BAD_RESPONSE, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", NULL, STAY,
     HEALTH_BAD_RESPONSE, 0},
    {"HTTP/2 200\r\n\r\n", NULL, STAY, HEALTH_BAD_RESPONSE, 0},

    {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nall is fine", "fine", STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", "fine", STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfin!", "fine", STAY, HEALTH_BODY, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfififin", "fifine", STAY, HEALTH_BODY, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfififine", "fifine", STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfin", "fine", LEAVE, HEALTH_CLOSED, 200},
    {"HTTP/1.1 200 OK\r\n\r\nfine", "fine", STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 200 OK\r\n\r\nfin", "fine", LEAVE, HEALTH_BODY, 200},
    {"HTTP/1.1 200 OK\r\n\r\nfin", "fine", RESET, HEALTH_CLOSED, 200},
    {"HTTP/1.1 204 No Content\r\n\r\n", "fine", STAY, HEALTH_BODY, 204},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nf\r\n2;x=y\r\nin\r\n1\r\ne\r\n",
     "fine", STAY, HEALTH_GOOD, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfin\r\n0\r\n\r\n", "fine", STAY,
     HEALTH_BODY, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Health: fine\r\n\r\n", "fine",
     STAY, HEALTH_BODY, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfinexx", "fine", STAY,
     HEALTH_BAD_RESPONSE, 200},
};

static void expect_answers(size_t piece_bytes)
{
    struct check c;
    set_up(&c);
    c.statuses[1] = (struct status_range){418, 418};
    c.spec.status_count = 2;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct answer *a = &answers[i];
        c.spec.body = a->body != NULL ? slice_of(a->body) : (struct slice){0};
        enum health_result result = serve(&c, slice_of(a->text), piece_bytes, a->last);
        cr_expect_eq(result, a->result, "%s: %s", a->text, health_result_name(result));
        cr_expect_eq(c.outcome.status, a->status, "%s: %d", a->text, c.outcome.status);
    }
    tear_down(&c);
}

Test(health_probe, answers_in_one_write)
{
    expect_answers(SIZE_MAX);
}

Test(health_probe, answers_byte_by_byte)
{
    expect_answers(1);
}

Test(health_probe, servers_that_leave_at_any_byte_have_not_answered)
{
    const struct slice answer = slice_of("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine");
    struct check c;
    set_up(&c);
    c.spec.body = slice_of("fine");
    for (size_t bytes = 0; bytes < answer.len; bytes++)
        cr_expect_eq(serve(&c, slice_make(answer.at, bytes), SIZE_MAX, LEAVE), HEALTH_CLOSED, "%zu",
                     bytes);
    cr_expect_eq(serve(&c, answer, SIZE_MAX, LEAVE), HEALTH_GOOD);
    tear_down(&c);
}

/* --- answers without end ------------------------------------------------------------------- */

/* HEAD, then `fill` as often as it takes to have `bytes` of them, then TAIL. */
static struct slice long_answer(struct buffer *out, const char *head, const char *fill,
                                size_t bytes, const char *tail)
{
    buffer_append_text(out, head);
    for (size_t i = 0; i < bytes; i += strlen(fill))
        buffer_append_text(out, fill);
    buffer_append_text(out, tail);
    return buffer_content(out);
}

Test(health_probe, heads_are_as_long_as_those_of_other_answers_may_be)
{
    struct buffer text = {0};
    struct check c;
    set_up(&c);
    struct slice answer =
        long_answer(&text, "HTTP/1.1 200 OK\r\nX-Long: ", "0123456789", 60 * 1024, "\r\n\r\n");
    cr_expect_eq(serve(&c, answer, SIZE_MAX, STAY), HEALTH_GOOD);
    buffer_clear(&text);
    answer = long_answer(&text, "HTTP/1.1 200 OK\r\nX-Long: ", "0123456789", 70 * 1024, "\r\n\r\n");
    cr_expect_eq(serve(&c, answer, 10000, STAY), HEALTH_BAD_RESPONSE);
    buffer_clear(&text);
    answer = long_answer(&text, "", "HTTP/1.1 102 Processing\r\n\r\n", 100 * 1024,
                         "HTTP/1.1 200 OK\r\n\r\n");
    cr_expect_eq(serve(&c, answer, 10000, STAY), HEALTH_BAD_RESPONSE);
    buffer_clear(&text);
    tear_down(&c);
}

/* The text that is wanted ends with the last byte that is looked at, or begins before it. */
Test(health_probe, the_first_64_kib_of_a_body_are_looked_through)
{
    struct buffer text = {0};
    struct check c;
    set_up(&c);
    c.spec.body = slice_of("fine");
    for (size_t early = 0; early <= 4; early++) {
        long_answer(&text, "HTTP/1.1 200 OK\r\n\r\n", "f", HEALTH_BODY_BYTES - early, "fine");
        enum health_result result = serve(&c, buffer_content(&text), 1000, STAY);
        cr_expect_eq(result, early == 4 ? HEALTH_GOOD : HEALTH_BODY, "%zu: %s", early,
                     health_result_name(result));
        buffer_clear(&text);
    }
    tear_down(&c);
}

/* --- time ---------------------------------------------------------------------------------- */

Test(health_probe, servers_that_do_not_answer_in_time)
{
    struct check c;
    set_up(&c);
    c.spec.timeout_ms = SHORT_MS;
    cr_expect_eq(serve(&c, slice_of(""), 1, STAY), HEALTH_TIMEOUT);
    cr_expect_eq(serve(&c, slice_of("HTTP/1.1 200 OK\r\n"), 1, STAY), HEALTH_TIMEOUT);
    c.spec.body = slice_of("fine");
    cr_expect_eq(serve(&c, slice_of("HTTP/1.1 200 OK\r\n\r\nfin"), 1, STAY), HEALTH_TIMEOUT);
    tear_down(&c);
}

/* Bytes that keep coming push its end away no further than silence. */
Test(health_probe, servers_that_drip)
{
    struct buffer text = {0};
    struct check c;
    set_up(&c);
    c.spec.timeout_ms = SHORT_MS;
    long_answer(&text, "HTTP/1.1 200 OK\r\nX-Long: ", "0123456789", 50000, "");
    cr_expect_eq(serve(&c, buffer_content(&text), 1, STAY), HEALTH_TIMEOUT);
    buffer_clear(&text);
    c.spec.body = slice_of("fine");
    long_answer(&text, "HTTP/1.1 200 OK\r\n\r\n", "0123456789", 50000, "");
    cr_expect_eq(serve(&c, buffer_content(&text), 1, STAY), HEALTH_TIMEOUT);
    buffer_clear(&text);
    tear_down(&c);
}

/* --- addresses ----------------------------------------------------------------------------- */

Test(health_probe, servers_that_cannot_be_connected_to)
{
    struct check c;
    struct loopback_hang hang;
    set_up(&c);
    c.spec.timeout_ms = SHORT_MS;
    int refusing = loopback_refuse(&c.addresses[0]);
    start(&c);
    cr_expect_eq(judge(&c), HEALTH_CONNECT_FAILED);
    loopback_hang(&hang, &c.addresses[1]);
    c.question.address_count = 2;
    start(&c);
    cr_expect_eq(judge(&c), HEALTH_CONNECT_TIMEOUT);
    loopback_hang_end(&hang);
    close(refusing);
    tear_down(&c);
}

Test(health_probe, every_address_is_tried)
{
    struct check c;
    set_up(&c);
    c.addresses[2] = c.addresses[0];
    int refusing[] = {loopback_refuse(&c.addresses[0]), loopback_refuse(&c.addresses[1])};
    c.question.address_count = 3;
    cr_expect_eq(serve(&c, slice_of("HTTP/1.1 200 OK\r\n\r\n"), 100, STAY), HEALTH_GOOD);
    close(refusing[0]);
    close(refusing[1]);
    tear_down(&c);
}

Test(health_probe, unix_sockets)
{
    char folder[] = "/tmp/probe-XXXXXX", path[64];
    struct check c;
    set_up(&c);
    close(c.listener);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    c.listener = loopback_listen_unix(path, 8, &c.addresses[0]);
    cr_expect_eq(serve(&c, slice_of("HTTP/1.1 200 OK\r\n\r\n"), 100, STAY), HEALTH_GOOD);
    close(c.listener);
    c.listener = -1;
    start(&c);
    cr_expect_eq(judge(&c), HEALTH_CONNECT_FAILED);
    unlink(path);
    rmdir(folder);
    tear_down(&c);
}

/* --- what says nothing of the server -------------------------------------------------------- */

static void allow_descriptors(int most)
{
    const struct rlimit limit = {.rlim_cur = (rlim_t)most, .rlim_max = (rlim_t)most};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_begin();
}

/* With so few left that nothing else can be asked for meanwhile. */
static void expect_undecided(struct check *c)
{
    c->probe = health_probe_start(c->loop, &c->question, &c->task);
    while (!is_judged(c))
        ;
    cr_expect_eq(c->outcome.result, HEALTH_UNDECIDED);
    health_probe_end(c->probe);
}

Test(health_probe, the_reserve_of_descriptors_is_left_alone)
{
    struct check c;
    set_up(&c);
    int next = dup(c.listener);
    close(next);
    allow_descriptors(next + 3 + next / 7); /* the next one, and another, are outside of it */
    cr_expect_eq(serve(&c, slice_of("HTTP/1.1 200 OK\r\n\r\n"), 100, STAY), HEALTH_GOOD);
    allow_descriptors(next + 1);
    expect_undecided(&c);
    allow_descriptors(next); /* there is none */
    expect_undecided(&c);
    deadline_clear(&c.tick);
    tear_down(&c);
}

Test(health_probe, one_that_is_ended_early_leaves_nothing_behind)
{
    struct check c;
    struct loopback_hang hang;
    char request[1024];
    set_up(&c);
    start(&c);
    take_request(&c, request, sizeof(request));
    end(&c);

    c.spec.body = slice_of("fine");
    start(&c);
    take_request(&c, request, sizeof(request));
    send_pieces(&c, slice_of("HTTP/1.1 200 OK\r\n\r\nfin"), 1);
    cr_assert_not(is_judged(&c));
    end(&c);

    close(c.listener);
    c.listener = -1;
    loopback_hang(&hang, &c.addresses[0]);
    start(&c);
    cr_assert_not(is_judged(&c));
    end(&c);
    loopback_hang_end(&hang);
    tear_down(&c);
}
