/* Active checks: what servers are asked, what comes of it, and who is told. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/fault_board.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(health);

static const char well[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";
static const char unwell[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/* A machine that is busy with other things answers in time too. */
#define OFTEN "'every': '500ms', 'timeout': '500ms', 'rise': 2, 'fall': 3"
/* Where it matters what a check fails of: on a busy machine half a second can pass without an
 * answer. */
#define IN_TIME "'every': '2s', 'timeout': '2s', 'rise': 2, 'fall': 3"

static struct gateway *start_with_workers(int workers, const char *rest)
{
    return gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, %s }", rest), .workers = workers});
}

static void reload(void)
{
    expect_status(ask_admin("POST", "/reload"), 200);
}

/* --- what is said of a server ------------------------------------------------------------------
 */

static json_t *named(json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        if (strcmp(json_string_value(json_member(entry, "name")), name) == 0)
            return entry;
    }
    return NULL;
}

/* Of the backend `b`; NULL: it has no such server. */
static json_t *find_status(const char *server)
{
    json_t *status = json_from(ask_admin("GET", "/status")->body);
    return named(json_member(named(json_member(status, "backends"), "b"), "servers"), server);
}

static json_t *status_of(const char *server)
{
    json_t *status = find_status(server);
    workplace_require(status != NULL, "there is no %s", server);
    return status;
}

static void await_server(const char *server)
{
    long long start = monitor_now_ms();
    while (find_status(server) == NULL)
        workplace_require(monitor_may_ask_again(start), "there is no %s", server);
}

static bool has_verdict(const char *server, const char *verdict)
{
    const char *seen = json_string_value(json_member(status_of(server), "check.verdict"));
    return strcmp(seen, verdict) == 0;
}

static void await_verdict(const char *server, const char *verdict)
{
    long long start = monitor_now_ms();
    while (!has_verdict(server, verdict))
        workplace_require(monitor_may_ask_again(start), "%s does not get %s", server, verdict);
}

static bool has_metric(const char *sample)
{
    const char *page = ask_admin("GET", "/metrics")->body;
    return strstr(page, text("\n%s\n", sample)) != NULL;
}

static void expect_metric(const char *sample)
{
    workplace_require(has_metric(sample), "no %s", sample);
}

static void await_metric(const char *sample)
{
    long long start = monitor_now_ms();
    while (!has_metric(sample))
        workplace_require(monitor_may_ask_again(start), "no %s", sample);
}

/* --- who gets requests -------------------------------------------------------------------------
 */

static struct message *ask(struct gateway *gateway)
{
    struct message *response = fetch(gateway, "a.test", "/");
    expect_status(response, 200);
    return response;
}

static bool is_from(const struct message *response, const char *name)
{
    return strncmp(response->body, name, strlen(name)) == 0;
}

/* Each over a connection of its own, so that every worker gets some. */
static void expect_all_from(struct gateway *gateway, const char *name)
{
    for (int i = 0; i < 40; i++) {
        struct message *response = ask(gateway);
        workplace_require(is_from(response, name), "%s answers", response->body);
    }
}

static void await_answer_from(struct gateway *gateway, const char *name)
{
    long long start = monitor_now_ms();
    while (!is_from(ask(gateway), name))
        workplace_require(monitor_may_ask_again(start), "%s gets nothing", name);
}

/* `b` with two origins and this health, on two workers. */
struct pair {
    struct origin *one, *two;
    struct gateway *gateway;
};

static const char *backend_of(const struct pair *pair, const char *health)
{
    return text("'backends': { 'b': { 'servers': ['%s', '%s'], %s } },"
                " 'routes': { 'a.test': 'b' }",
                origin_address(pair->one), origin_address(pair->two), health);
}

static struct pair start_pair(const char *health)
{
    struct pair pair = {.one = origin_start("one"), .two = origin_start("two")};
    origin_set_reply(pair.one, "/healthz", well);
    origin_set_reply(pair.two, "/healthz", well);
    pair.gateway = start_with_workers(2, backend_of(&pair, health));
    await_verdict(origin_address(pair.one), "up");
    await_verdict(origin_address(pair.two), "up");
    return pair;
}

static void rewrite_pair(const struct pair *pair, const char *health)
{
    gateway_rewrite("{ @base, %s }", backend_of(pair, health));
}

static void await_answers_from_both(struct pair *pair)
{
    await_answer_from(pair->gateway, "one");
    await_answer_from(pair->gateway, "two");
}

/* --- down and up again -------------------------------------------------------------------------
 */

Test(health, server_that_says_so_is_down_until_it_says_otherwise)
{
    struct pair pair = start_pair("'health': { 'path': '/healthz', " IN_TIME " }");
    const char *one = origin_address(pair.one), *two = origin_address(pair.two);
    size_t position = 0;

    await_answers_from_both(&pair);
    expect_string(status_of(one), "state", "up");
    expect_null(status_of(one), "check.last_failure");
    expect_metric(text("sallyport_upstream_up{backend=\"b\",server=\"%s\"} 1", one));

    origin_set_reply(pair.one, "/healthz", unwell);
    gateway_wait_stderr(pair.gateway, text("b: %s is down: status 503, 3 checks in a row", one),
                        &position);
    expect_string(status_of(one), "state", "down");
    expect_string(status_of(one), "check.last_failure", "status 503");
    expect_string(status_of(two), "state", "up");
    expect_metric(text("sallyport_upstream_up{backend=\"b\",server=\"%s\"} 0", one));
    expect_metric(text("sallyport_upstream_up{backend=\"b\",server=\"%s\"} 1", two));
    command_says(SALLYPORT("status", "--admin", text("unix:%s/admin.sock", workplace_folder())),
                 "checks: down since ");
    command_says(SALLYPORT("explain", "--live", "--admin",
                           text("unix:%s/admin.sock", workplace_folder()), "https://a.test/"),
                 text("%s, weight 1, by its checks: down", one));
    expect_all_from(pair.gateway, "two");

    origin_set_reply(pair.one, "/healthz", well);
    gateway_wait_stderr(
        pair.gateway,
        text("b: %s is up again: 2 good checks in a row; it was down: status 503", one), &position);
    expect_string(status_of(one), "state", "up");
    await_answers_from_both(&pair);
    cr_assert_eq(count_words(pair.gateway, "server_down"), 1);
    cr_assert_eq(count_words(pair.gateway, "server_up"), 1);
    gateway_stop(pair.gateway);
}

/* 503, 503, 200, and so on. */
static void tell_two_bad_ones_of_three(struct origin_turn *turn)
{
    atomic_int *count = turn->arg;
    int n = atomic_fetch_add(count, 1);
    const char *reply = n % 3 == 0 ? well : unwell;
    wire_write(turn->wire, reply, strlen(reply));
}

Test(health, fewer_in_a_row_change_nothing)
{
    static atomic_int count;
    struct origin *one = origin_start("one");
    origin_set_script(one, "/healthz", tell_two_bad_ones_of_three, &count);
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path':"
                      " '/healthz', " IN_TIME " } } }, 'routes': { 'a.test': 'b' } }",
                      origin_address(one));

    origin_wait_requests(one, 7);
    cr_assert(has_verdict(origin_address(one), "unknown"));
    expect_string(status_of(origin_address(one)), "check.last_failure", "status 503");
    cr_assert_eq(count_words(gateway, "server_down"), 0);
    gateway_stop(gateway);
}

Test(health, when_all_are_down_all_are_tried)
{
    struct pair pair = start_pair("'health': { 'path': '/healthz', " OFTEN " }");

    origin_set_reply(pair.one, "/healthz", unwell);
    origin_set_reply(pair.two, "/healthz", unwell);
    await_verdict(origin_address(pair.one), "down");
    await_verdict(origin_address(pair.two), "down");
    gateway_wait_stderr(pair.gateway, "no server is up: all are tried", NULL);
    await_answers_from_both(&pair);
    gateway_stop(pair.gateway);
}

/* --- what is asked, and what is a good answer --------------------------------------------------
 */

static struct gateway *start_one(struct origin *origin, const char *rest)
{
    return gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s'], %s } },"
                         " 'routes': { 'a.test': 'b' } }",
                         origin_address(origin), rest);
}

Test(health, asked_with_path_method_and_host)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway = start_one(one, "'health': { 'path': '/live?full=1', " OFTEN " }");
    struct message *request = origin_request(one, 0);

    cr_assert_str_eq(request->start_line, "GET /live?full=1 HTTP/1.1");
    cr_assert_str_eq(message_field(request, "Host"), origin_address(one));
    cr_assert_str_eq(message_field(request, "User-Agent"), "sallyport");
    cr_assert_str_eq(message_field(request, "Connection"), "close");
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path': '/',"
                    " 'method': 'OPTIONS', 'host': 'app.test', " OFTEN
                    " } } }, 'routes': { 'a.test': 'b' } }",
                    origin_address(one));
    reload();
    origin_wait_requests(one, origin_requests(one) + 3);
    request = origin_last_request(one);
    cr_assert_str_eq(request->start_line, "OPTIONS / HTTP/1.1");
    cr_assert_str_eq(message_field(request, "Host"), "app.test");
    cr_assert_eq(request->place, 0, "a connection of its own");
    gateway_stop(gateway);
}

Test(health, status_and_body_as_told)
{
    struct origin *one = origin_start("one");
    const char *name = origin_address(one);
    origin_set_reply(one, "/healthz", well);
    struct gateway *gateway = start_one(one, "'health': { 'path': '/healthz', 'status': [200, 418],"
                                             " 'body': 'ready', " OFTEN " }");

    await_verdict(name, "up");
    origin_set_reply(one, "/healthz", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread");
    await_verdict(name, "down");
    expect_string(status_of(name), "check.last_failure", "body");
    origin_set_reply(one, "/healthz",
                     "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 5\r\n\r\nready");
    await_verdict(name, "up");
    origin_set_reply(one, "/healthz", "HTTP/1.1 204 No Content\r\n\r\n");
    await_verdict(name, "down");
    expect_string(status_of(name), "check.last_failure", "status 204");
    gateway_stop(gateway);
}

Test(health, without_a_path_it_is_only_connected_to)
{
    struct origin *one = origin_start("one");
    const char *name = origin_address(one);
    struct gateway *gateway = start_one(one, "'health': { " OFTEN " }");

    await_verdict(name, "up");
    for (long long start = monitor_now_ms(); origin_connections(one) < 2;) /* accepted, too */
        workplace_require(monitor_may_ask_again(start), "there was but one connection");
    cr_assert_eq(origin_requests(one), 0);
    origin_stop(one);
    await_verdict(name, "down");
    expect_string(status_of(name), "check.last_failure", "connect_failed");
    origin_restart(one);
    await_verdict(name, "up");
    gateway_stop(gateway);
}

/* What does not answer is down; and what is asked at the end keeps nobody from it. */
Test(health, server_that_hangs)
{
    struct origin *one = origin_start("one");
    origin_set_script(one, "/healthz", origin_hang, NULL);
    struct gateway *gateway = start_one(one, "'health': { 'path': '/healthz', " OFTEN " }");

    await_verdict(origin_address(one), "down");
    expect_string(status_of(origin_address(one)), "check.last_failure", "timeout");
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path':"
                    " '/healthz', 'every': '1h', 'timeout': '1h' } } },"
                    " 'routes': { 'a.test': 'b' } }",
                    origin_address(one));
    int before = origin_requests(one);
    reload();
    origin_wait_requests(one, before + 1);
    gateway_stop(gateway);
}

Test(health, name_is_looked_up_and_checked)
{
    struct origin *one = origin_start_at("one", "127.0.0.1:0");
    const char *name = text("localhost%s", strchr(origin_address(one), ':'));
    struct gateway *gateway =
        gateway_start("{ @base, 'backends': { 'b': { 'servers': ['%s', 'no-such-host.invalid:80'],"
                      " 'health': { 'path': '/', " OFTEN " } } }, 'routes': { 'a.test': 'b' } }",
                      name);

    await_verdict(name, "up");
    await_verdict("no-such-host.invalid:80", "down");
    expect_string(status_of("no-such-host.invalid:80"), "check.last_failure", "unresolved");
    gateway_stop(gateway);
}

static int port_of(struct origin *origin)
{
    return atoi(strrchr(origin_address(origin), ':') + 1);
}

Test(health, servers_that_dns_names_are_checked_for_as_long_as_it_does)
{
    struct dns_server *dns = dns_server_start();
    struct origin *one = origin_start("one"), *two = origin_start("two");
    const char *names[] = {text("one.test:%d", port_of(one)), text("two.test:%d", port_of(two))};
    dns_server_add_a(dns, "one.test", 60, workplace_own_host(0));
    dns_server_add_a(dns, "two.test", 60, workplace_own_host(0));
    dns_server_add_srv(dns, "_http._tcp.b.test", 0, 0, 0, (uint16_t)port_of(one), "one.test");
    struct gateway *gateway =
        gateway_start("{ @base, 'dns': { 'servers': ['%s'] }, 'backends': { 'b': { 'servers':"
                      " ['srv:_http._tcp.b.test'], 'health': { 'path': '/', " OFTEN
                      " } } }, 'routes': { 'a.test': 'b' } }",
                      dns_server_address(dns));

    await_server(names[0]);
    await_verdict(names[0], "up");
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_HOLDS);
    dns_server_forget(dns, "_http._tcp.b.test");
    dns_server_add_srv(dns, "_http._tcp.b.test", 60, 0, 0, (uint16_t)port_of(two), "two.test");
    dns_server_behave(dns, DNS_ANY_TYPE, DNS_ANSWERS);
    dns_server_release(dns);
    await_server(names[1]);
    await_verdict(names[1], "up");
    origin_wait_requests(two, origin_requests(two) + 1);
    int requests = origin_requests(one);
    origin_wait_requests(two, origin_requests(two) + 5);
    cr_assert_eq(origin_requests(one), requests);
    gateway_stop(gateway);
    dns_server_stop(dns);
}

Test(health, server_that_is_told_clients_is_told_that_there_is_none)
{
    struct origin *one = origin_start("one");
    struct gateway *gateway =
        start_one(one, "'proxy_protocol': 'v2', 'health': { 'path': '/', " OFTEN " }");

    await_verdict(origin_address(one), "up");
    cr_assert_str_eq(origin_request(one, 0)->told, "LOCAL");
    gateway_stop(gateway);
}

/* No descriptor is left for checks: nobody is down for that. */
Test(health, want_of_descriptors_says_nothing_of_servers)
{
    struct origin *one = origin_start("one");
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path':"
                             " '/', 'fall': 1, 'every': '500ms', 'timeout': '500ms' } } },"
                             " 'routes': { 'a.test': 'b' } }",
                             origin_address(one)),
        .faults = faults});

    await_verdict(origin_address(one), "up");
    atomic_store(&faults->everywhere, 1); /* the control thread too */
    fault_set(faults, FAULT_SOCKET, FAULT_ALWAYS, EMFILE);
    await_metric("sallyport_upstream_checks_total{result=\"undecided\"} 3");
    cr_assert(has_verdict(origin_address(one), "up"));
    fault_end(faults, FAULT_SOCKET);
    origin_wait_requests(one, origin_requests(one) + 1);
    cr_assert_eq(count_words(gateway, "server_down"), 0);
    gateway_stop(gateway);
}

/* The same of memory, at any place: each of these checks needs some a few times. */
Test(health, want_of_memory_says_nothing_of_servers)
{
    struct origin *one = origin_start("one");
    struct faults *faults = fault_board();
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json",
                       "{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path':"
                       " '/', 'body': 'GET', 'fall': 999, 'every': '50ms', 'timeout': '50ms' }"
                       " } }, 'routes': { 'a.test': 'b' } }",
                       origin_address(one)),
        .faults = faults});

    await_verdict(origin_address(one), "up");
    atomic_store(&faults->everywhere, 1);
    fault_set(faults, FAULT_MEMORY, FAULT_ALWAYS / 5, 0);
    origin_wait_requests(one, origin_requests(one) + 100);
    fault_end(faults, FAULT_MEMORY);
    expect_metric("sallyport_upstream_checks_total{result=\"connect_failed\"} 0");
    expect_metric("sallyport_upstream_checks_total{result=\"closed\"} 0");
    expect_metric("sallyport_upstream_checks_total{result=\"bad_response\"} 0");
    expect_metric("sallyport_upstream_checks_total{result=\"body\"} 0");
    if (!gateway_is_sanitized(gateway)) /* whose allocations never fail */
        cr_assert(!has_metric("sallyport_upstream_checks_total{result=\"undecided\"} 0"));
    gateway_stop(gateway);
}

/* --- generations -------------------------------------------------------------------------------
 */

Test(health, verdicts_survive_reloads)
{
    struct pair pair = start_pair("'health': { 'path': '/healthz', " OFTEN " }");
    const char *one = origin_address(pair.one);

    origin_set_reply(pair.one, "/healthz", unwell);
    gateway_wait_stderr(pair.gateway, "server_down", NULL);
    const char *since = json_string_value(json_member(status_of(one), "check.since"));

    rewrite_pair(&pair, "'keepalive': 7, 'health': { 'path': '/healthz', " OFTEN " }");
    reload();
    cr_assert(has_verdict(one, "down"));
    rewrite_pair(&pair, "'health': { 'path': '/healthz', 'every': '1h', 'fall': 9 }");
    int before = origin_requests(pair.one);
    reload();
    origin_wait_requests(pair.one, before + 1); /* it is asked at once in the new way */
    expect_string(status_of(one), "check.verdict", "down");
    expect_string(status_of(one), "check.since", since);
    expect_all_from(pair.gateway, "two");
    cr_assert_eq(count_words(pair.gateway, "server_down"), 1);
    gateway_stop(pair.gateway);
}

Test(health, without_checks_servers_are_as_good_as_up)
{
    struct pair pair = start_pair("'health': { 'path': '/healthz', " OFTEN " }");
    const char *one = origin_address(pair.one);

    origin_set_reply(pair.one, "/healthz", unwell);
    await_verdict(one, "down");
    rewrite_pair(&pair, "'keepalive': 7");
    reload();
    expect_null(status_of(one), "check");
    expect_string(status_of(one), "state", "up");
    await_answers_from_both(&pair);
    gateway_stop(pair.gateway);
}

Test(health, servers_that_leave_are_not_checked_any_more)
{
    struct pair pair = start_pair("'health': { 'path': '/healthz', " OFTEN " }");

    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'], 'health': { 'path':"
                    " '/healthz', " OFTEN " } } }, 'routes': { 'a.test': 'b' } }",
                    origin_address(pair.one));
    reload();
    origin_wait_requests(pair.one, origin_requests(pair.one) + 3);
    int connections = origin_connections(pair.two);
    origin_wait_requests(pair.one, origin_requests(pair.one) + 10);
    cr_assert_eq(origin_connections(pair.two), connections);
    gateway_stop(pair.gateway);
}

/* --- numbers ------------------------------------------------------------------------------------
 */

Test(health, checks_are_counted_by_what_they_came_to)
{
    struct origin *one = origin_start("one");
    origin_set_reply(one, "/healthz", unwell);
    struct gateway *gateway = start_one(
        one, "'health': { 'path': '/healthz', 'every': '1h', 'timeout': '30s', 'fall': 1 }");

    await_verdict(origin_address(one), "down");
    expect_metric("sallyport_upstream_checks_total{result=\"status\"} 1");
    expect_metric("sallyport_upstream_checks_total{result=\"good\"} 0");
    expect_metric("sallyport_upstream_checks_total{result=\"connect_failed\"} 0");
    expect_string(status_of(origin_address(one)), "check.last_failure", "status 503");
    expect_number(status_of(origin_address(one)), "check.in_a_row", 1);
    gateway_stop(gateway);
}
