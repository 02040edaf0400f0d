#include "support/control_fixture.h"
#include "support/loopback.h"

#include "cli/admin_client.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct control_fixture f;
static char status_address[ADDRESS_TEXT_SIZE];

static void load(void)
{
    const struct load_outcome *outcome;
    struct load_ask *ask = control_fixture_load(&f, &outcome);
    cr_assert_not(load_is_refused(outcome));
    load_ask_end(ask);
}

static void begin(void)
{
    control_fixture_init(&f);
    control_fixture_write(&f, "'routes': { 'a.test': 'b', 'c.test': '127.0.0.1:9' },"
                              "'backends': { 'b': { 'servers': ['127.0.0.1:1', { 'to': "
                              "'127.0.0.1:2', 'weight': 3 }, { 'to': '127.0.0.1:3', 'backup': "
                              "true }] } }, 'log': { 'level': 'error' }");
    load();
    address_format(&listeners_at(f.control.listeners, 1)->address, status_address);
}

static void end(void)
{
    control_fixture_clear(&f);
}

TestSuite(endpoints, .init = begin, .fini = end);

/* --- asking, from a thread of its own, while the loop turns --------------------------------------
 */

struct call {
    pthread_t thread;
    struct admin_request request;
    enum admin_result result;
    int status;
    struct buffer body;
    struct error error;
    atomic_bool is_over;
};

static void *ask(void *owner)
{
    struct call *call = owner;
    struct buffer body = {0};
    call->result = admin_client_ask(&call->request, &call->status, &body, &call->error);
    buffer_append(&body, slice_make("", 1));
    call->body = body;
    buffer_cache_clear();
    atomic_store(&call->is_over, true);
    return NULL;
}

static bool is_over(void *argument)
{
    struct call *call = argument;
    return atomic_load(&call->is_over);
}

static struct call call_of(const char *address, const char *method, const char *path)
{
    return (struct call){.request = {.address = address,
                                     .method = method,
                                     .path = path,
                                     .accept = "*/*",
                                     .timeout_ms = 20 * 1000}};
}

static const char *finish_call(struct call *call)
{
    static char text[64 * 1024];
    control_fixture_run_until(&f, is_over, call);
    pthread_join(call->thread, NULL);
    cr_assert_eq(call->result, ADMIN_ANSWERED, "%s", call->error.message);
    slice_copy_text(buffer_content(&call->body), text, sizeof(text));
    buffer_clear(&call->body);
    return text;
}

static int fetch(const char *address, const char *method, const char *path, const char **body)
{
    struct call call = call_of(address, method, path);
    pthread_create(&call.thread, NULL, ask, &call);
    const char *text = finish_call(&call);
    if (body != NULL)
        *body = text;
    return call.status;
}

Test(endpoints, admin_and_status)
{
    cr_expect_eq(fetch(f.admin, "GET", "/healthz", NULL), 200);
    cr_expect_eq(fetch(status_address, "GET", "/healthz", NULL), 200);
    cr_expect_eq(fetch(f.admin, "GET", "/readyz", NULL), 200);
    cr_expect_eq(fetch(status_address, "POST", "/reload", NULL), 405);
    cr_expect_eq(fetch(status_address, "GET", "/x", NULL), 404);
    f.control.state = CONTROL_DELAYING;
    cr_expect_eq(fetch(status_address, "GET", "/readyz", NULL), 503);
}

Test(endpoints, the_admin_socket_is_for_its_owner)
{
    struct stat file;
    cr_expect_str_eq(endpoints_admin_address(f.control.endpoints), f.admin);
    cr_assert_eq(stat(f.admin + 5, &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0600);
    endpoints_close(f.control.endpoints);
    cr_expect_neq(access(f.admin + 5, F_OK), 0, "removed at the end");
}

Test(endpoints, reload)
{
    const char *body;
    cr_expect_eq(fetch(f.admin, "POST", "/reload", &body), 200);
    cr_expect_str_eq(body, "{\"generation\":1,\"unchanged\":true,\"quarantined\":[]}\n");
    control_fixture_write(&f, "'routes': {}");
    cr_expect_eq(fetch(f.admin, "POST", "/reload", &body), 200);
    cr_expect_str_eq(body, "{\"generation\":2,\"unchanged\":false,\"quarantined\":[]}\n");
    control_fixture_write(&f, "'routes': 5");
    cr_expect_eq(fetch(f.admin, "POST", "/reload", &body), 422);
    cr_expect_not_null(strstr(body, "\"errors\":[{"));
}

Test(endpoints, purge_is_for_the_admin_socket)
{
    const char *body;

    cr_expect_eq(fetch(f.admin, "POST", "/purge?all", &body), 200);
    cr_expect_str_eq(body, "{\"purged\":0}\n");
    cr_expect_eq(fetch(f.admin, "POST", "/purge?nonsense", &body), 400);
    cr_expect_not_null(strstr(body, "\"nonsense\\\" is unknown here"), "%s", body);
    cr_expect_eq(fetch(f.admin, "GET", "/purge?all", NULL), 405);
    cr_expect_eq(fetch(status_address, "POST", "/purge?all", NULL), 405);
}

Test(endpoints, drain)
{
    cr_expect_eq(fetch(f.admin, "POST", "/drain", NULL), 202);
    cr_expect(f.control.drain_wanted);
}

Test(endpoints, many_calls_at_once)
{
    enum { CALLS = 20 };
    struct call calls[CALLS];
    for (int i = 0; i < CALLS; i++) {
        calls[i] = call_of(i % 2 == 0 ? f.admin : status_address, "GET",
                           i % 3 == 0 ? "/status" : "/readyz");
        pthread_create(&calls[i].thread, NULL, ask, &calls[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        finish_call(&calls[i]);
        cr_expect_eq(calls[i].status, 200);
    }
    cr_expect_eq(f.control.reports_out, 0);
}

/* --- /status -----------------------------------------------------------------------------------
 */

static json_t *member(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    cr_assert_not_null(value, "%s", key);
    return value;
}

Test(endpoints, status_page)
{
    const char *body;
    cr_assert_eq(fetch(status_address, "GET", "/status", &body), 200);
    json_t *page = json_loads(body, 0, NULL);
    cr_assert_not_null(page, "%s", body);
    cr_expect(json_is_string(member(page, "version")));
    cr_expect_eq(json_integer_value(member(page, "generation")), 1);
    cr_expect_str_eq(json_string_value(member(page, "state")), "serving");
    cr_expect_eq(json_integer_value(member(page, "workers")), FIXTURE_WORKERS);
    cr_expect(json_is_integer(member(page, "uptime_s")));
    cr_expect(json_is_integer(member(page, "requests")));
    cr_expect(json_is_integer(member(member(page, "connections"), "open")));
    cr_expect(json_is_integer(member(member(page, "connections"), "handshaking")));
    cr_expect(json_is_integer(member(member(page, "connections"), "idle")));
    cr_expect_eq(json_object_size(member(page, "metrics")), METRIC_COUNT);

    json_t *listening = member(page, "listeners");
    cr_expect_eq(json_array_size(member(listening, "https")), 1);
    cr_expect_str_eq(json_string_value(json_array_get(member(listening, "status"), 0)),
                     status_address);
    cr_expect_str_eq(json_string_value(member(listening, "admin")), f.admin);

    json_t *backends = member(page, "backends");
    cr_assert_eq(json_array_size(backends), 2);
    json_t *servers = member(json_array_get(backends, 0), "servers");
    cr_assert_eq(json_array_size(servers), 3);
    json_t *second = json_array_get(servers, 1);
    cr_expect_str_eq(json_string_value(member(second, "name")), "127.0.0.1:2");
    cr_expect_eq(json_integer_value(member(second, "weight")), 3);
    cr_expect_str_eq(json_string_value(member(second, "state")), "up");
    cr_expect(json_is_true(member(json_array_get(servers, 2), "backup")));

    json_t *certificates = member(page, "certificates");
    cr_assert_eq(json_array_size(certificates), 1);
    json_t *certificate = json_array_get(certificates, 0);
    cr_expect_str_eq(json_string_value(member(certificate, "key")), "ECDSA P-256");
    cr_expect_str_eq(json_string_value(member(certificate, "state")), "serving");
    cr_expect_eq(json_array_size(member(certificate, "names")), 2);
    cr_expect_not_null(strstr(json_string_value(member(certificate, "file")), "test.crt"));
    cr_expect_eq(json_string_value(member(certificate, "not_after"))[10], 'T');
    json_decref(page);
}

Test(endpoints, status_page_of_an_expired_certificate)
{
    route_folder_certify(&f.folder, "old", "old.example", -1);
    load();
    const char *body;
    fetch(f.admin, "GET", "/status", &body);
    cr_expect_not_null(strstr(body, "\"state\":\"expired\""));
}

Test(endpoints, status_page_as_text)
{
    struct call call = call_of(f.admin, "GET", "/status");
    call.request.accept = "text/plain";
    pthread_create(&call.thread, NULL, ask, &call);
    const char *body = finish_call(&call);
    cr_expect_not_null(strstr(body, "generation 1, serving, 2 workers"));
    cr_expect_not_null(strstr(body, f.admin));
    cr_expect_not_null(strstr(body, "127.0.0.1:3"));
    cr_expect_not_null(strstr(body, "ECDSA P-256, serving, until "));
}

/* --- bytes -------------------------------------------------------------------------------------
 */

static int connect_raw(void)
{
    const struct address *address = &listeners_at(f.control.listeners, 1)->address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, &address->as.any, address->length), 0);
    return fd;
}

struct raw {
    int fd;
    const char *wanted; /* NULL: until the peer ends */
    size_t length;
    bool has_ended;
    char text[256 * 1024];
};

static bool has_wanted(void *argument)
{
    struct raw *raw = argument;
    for (;;) {
        ssize_t got = recv(raw->fd, raw->text + raw->length, sizeof(raw->text) - 1 - raw->length,
                           MSG_DONTWAIT);
        if (got <= 0) {
            raw->has_ended |= got == 0;
            break;
        }
        raw->length += (size_t)got;
    }
    raw->text[raw->length] = '\0';
    return raw->wanted != NULL ? strstr(raw->text, raw->wanted) != NULL : raw->has_ended;
}

static struct raw *exchange(int fd, const char *request, const char *wanted)
{
    static struct raw raw;
    raw = (struct raw){.fd = fd, .wanted = wanted};
    if (request != NULL)
        cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    control_fixture_run_until(&f, has_wanted, &raw);
    return &raw;
}

Test(endpoints, head_has_a_length_and_no_body)
{
    int fd = connect_raw();
    struct raw *raw =
        exchange(fd, "HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    cr_expect_not_null(strstr(raw->text, "200 OK\r\n"));
    cr_expect_not_null(strcasestr(raw->text, "content-length: 3\r\n"));
    cr_expect_str_eq(strstr(raw->text, "\r\n\r\n"), "\r\n\r\n");
    close(fd);
}

Test(endpoints, keep_alive_and_pipelining)
{
    int fd = connect_raw();
    exchange(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nok\n");
    struct raw *raw = exchange(fd,
                               "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                               "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                               "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
                               "\r\n\r\nready\n");
    char *first = strstr(raw->text, " 200 "), *second = strstr(raw->text, " 404 ");
    cr_assert(first != NULL && second != NULL);
    cr_expect_lt(first, second);
    close(fd);
}

Test(endpoints, a_refused_method_says_which_are_taken)
{
    int fd = connect_raw();
    struct raw *raw =
        exchange(fd, "DELETE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    cr_expect_not_null(strstr(raw->text, " 405 "));
    cr_expect_not_null(strcasestr(raw->text, "\r\nallow: GET, HEAD\r\n"));
    close(fd);
}

Test(endpoints, a_small_body_is_forgotten_and_a_large_one_refused)
{
    int fd = connect_raw();
    exchange(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
             "\r\n\r\nok\n");
    exchange(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nok\n");
    char *large = malloc(300 * 1024);
    int head = sprintf(large, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    memset(large + head, 'x', 200000);
    large[head + 200000] = '\0';
    struct raw *raw = exchange(fd, large, NULL);
    cr_expect_not_null(strstr(raw->text, " 413 "));
    free(large);
    close(fd);
}

Test(endpoints, nonsense_gets_a_400)
{
    int fd = connect_raw();
    struct raw *raw = exchange(fd, "nonsense\r\n\r\n", NULL);
    cr_expect_not_null(strstr(raw->text, " 400 "));
    close(fd);
}

Test(endpoints, connections_are_bounded_for_each_kind)
{
    enum { MORE = 64 + 1 };
    int fds[MORE];
    for (int i = 0; i < MORE; i++)
        fds[i] = connect_raw();
    /* The last one is closed, the others are waited for, the admin socket is as ever. */
    struct raw *raw = exchange(fds[MORE - 1], NULL, NULL);
    cr_expect_eq(raw->length, 0);
    cr_expect_eq(fetch(f.admin, "GET", "/healthz", NULL), 200);
    exchange(fds[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "ok\n");
    for (int i = 0; i < MORE; i++)
        close(fds[i]);
}

static bool is_empty(void *argument)
{
    (void)argument;
    return endpoints_are_empty(f.control.endpoints);
}

Test(endpoints, closing_ends_idle_connections)
{
    int fd = connect_raw();
    exchange(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "ok\n");
    cr_expect_not(endpoints_are_empty(f.control.endpoints));
    endpoints_close(f.control.endpoints);
    control_fixture_run_until(&f, is_empty, NULL);
    struct raw *raw = exchange(fd, NULL, NULL);
    cr_expect(raw->has_ended);
    close(fd);
}

Test(endpoints, what_is_left_can_be_cut)
{
    int fd = connect_raw();
    exchange(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "ok\n");
    cr_assert_eq(send(fd, "GET /stat", 9, 0), 9);
    endpoints_close(f.control.endpoints);
    endpoints_cut(f.control.endpoints);
    cr_expect(endpoints_are_empty(f.control.endpoints));
    close(fd);
}
