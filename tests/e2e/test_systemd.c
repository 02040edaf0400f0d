/* Under a service manager: what it is told, and sockets that it hands over. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/manager.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(systemd);

#define SAYS "{ @base, 'routes': { 'a.test': { 'respond': { 'body': '%s' } } } }"

#define RELOADING "RELOADING=1\nMONOTONIC_USEC=*\nSTATUS=reloading\n"

static struct gateway *start_under(struct manager *manager, const char *more)
{
    const char *const environment[] = {manager_setting(manager), more, NULL};
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = workplace_path("routes.json"), .workers = 2, .environment = environment});

    manager_watch(manager, gateway);
    return gateway;
}

/* --- what the manager is told --------------------------------------------------------------------
 */

Test(systemd, every_message_from_start_to_end)
{
    struct manager *manager = manager_new("notify");

    gateway_rewrite(SAYS, "one");
    struct gateway *gateway = start_under(manager, NULL);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 is served\n");

    gateway_rewrite(SAYS, "two");
    expect_status(ask_admin("POST", "/reload"), 200);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 2 is served\n");

    command_expect(SALLYPORT("reload", "-c", workplace_path("routes.json")), 0);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 2 goes on, nothing had changed\n");

    gateway_rewrite("{ @base, 'opps': 1, 'routes': {} }");
    expect_status(ask_admin("POST", "/reload"), 422);
    manager_expect(manager, RELOADING);
    manager_expect(manager, text("READY=1\nSTATUS=reload refused, generation 2 goes on: %s:1:*\n",
                                 workplace_path("routes.json")));
    manager_expect_silence(manager);

    gateway_stop(gateway);
    manager_expect(manager, "STOPPING=1\nSTATUS=draining: what is in flight finishes; ends within "
                            "30 s\nEXTEND_TIMEOUT_USEC=15000000\n");
    manager_expect_silence(manager);
}

/* What a manager with Type=notify-reload does: it sends SIGHUP, waits for RELOADING=1 of a later
 * time, then for READY=1. */
Test(systemd, sighup_is_answered_whatever_comes_of_it)
{
    struct manager *manager = manager_new("notify");

    gateway_rewrite(SAYS, "one");
    struct gateway *gateway = start_under(manager, NULL);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 is served\n");

    gateway_rewrite(SAYS, "two");
    manager_note_time(manager);
    gateway_signal(gateway, SIGHUP);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 2 is served\n");
    expect_body(fetch(gateway, "a.test", "/"), "two");

    manager_note_time(manager);
    gateway_signal(gateway, SIGHUP);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 2 goes on, nothing had changed\n");

    gateway_rewrite("{");
    manager_note_time(manager);
    gateway_signal(gateway, SIGHUP);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=reload refused, generation 2 goes on: *\n");

    gateway_stop(gateway);
}

Test(systemd, loads_that_nobody_asked_for)
{
    struct manager *manager = manager_new("notify");

    gateway_rewrite(SAYS, "one");
    struct gateway *gateway = start_under(manager, NULL);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 is served\n");
    workplace_write(workplace_path("certs/other.pem"), "no certificate", 14);
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 goes on, nothing had changed; "
                            "1 certificate quarantined\n");
    cert_write_bundle(cert_new("other.test"), workplace_path("certs/other.pem"));
    manager_expect(manager, RELOADING);
    manager_expect(manager, "READY=1\nSTATUS=generation 2 is served\n");
    gateway_stop(gateway);
}

Test(systemd, a_long_drain_asks_for_more_time)
{
    struct manager *manager = manager_new("@sallyport-e2e-drain");
    struct origin *origin = origin_start("one");

    route_file("routes.json",
               "{ @base, 'drain_delay': '1s', 'drain_timeout': '1h',"
               "  'routes': { 'a.test': '%s' } }",
               origin_address(origin));
    struct gateway *gateway = start_under(manager, NULL);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 is served\n");
    struct client *client = client_open(gateway, "a.test");
    origin_set_script(origin, "/hang", origin_hang, NULL);
    client_send(client, "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(origin, 1);

    gateway_signal(gateway, SIGTERM);
    manager_expect(manager, "STOPPING=1\nSTATUS=draining: not ready any more, but new connections "
                            "are accepted; ends within 3601 s\nEXTEND_TIMEOUT_USEC=15000000\n");
    manager_expect(manager, "STATUS=draining: what is in flight finishes; ends within 3600 s\n"
                            "EXTEND_TIMEOUT_USEC=15000000\n");
    manager_expect(manager, "STATUS=draining: what is in flight finishes; ends within *\n"
                            "EXTEND_TIMEOUT_USEC=15000000\n");
    gateway_signal(gateway, SIGTERM);
    gateway_stop_expecting(gateway, 1);
}

Test(systemd, a_drain_without_limit_leaves_the_limit_to_the_manager)
{
    struct manager *manager = manager_new("notify");

    gateway_rewrite("{ @base, 'drain_timeout': 0, 'routes': {} }");
    struct gateway *gateway = start_under(manager, NULL);
    manager_expect(manager, "READY=1\nSTATUS=generation 1 is served\n");
    gateway_stop(gateway);
    manager_expect(manager, "STOPPING=1\nSTATUS=draining: what is in flight finishes\n");
    manager_expect_silence(manager);
}

Test(systemd, signs_of_life_when_they_are_wanted)
{
    struct manager *manager = manager_new("notify");
    int signs = 0;

    gateway_rewrite(SAYS, "one");
    struct gateway *gateway = start_under(manager, "WATCHDOG_USEC=100000");
    while (signs < 3)
        signs += strcmp(manager_receive(manager), "WATCHDOG=1\n") == 0;
    gateway_stop(gateway);
}

/* Its socket takes some messages and then no more: nothing waits for it, and what it hears in the
 * end is how things are then. */
Test(systemd, a_manager_that_does_not_listen_is_told_the_truth_later)
{
    struct manager *manager = manager_new("notify");
    enum { LOADS = 40 };

    gateway_rewrite(SAYS, "one");
    struct gateway *gateway = start_under(manager, NULL);
    for (int i = 0; i < LOADS; i++) {
        gateway_rewrite(SAYS, text("%d", i));
        expect_status(ask_admin("POST", "/reload"), 200);
    }
    while (strcmp(manager_receive(manager),
                  text("READY=1\nSTATUS=generation %d is served\n", LOADS + 1)) != 0)
        continue;
    gateway_stop(gateway);
    manager_expect(manager, "STOPPING=1\n*\n*\n");
}

Test(systemd, a_manager_that_is_gone_harms_nothing)
{
    gateway_rewrite(SAYS, "one");
    const char *const environment[] = {text("NOTIFY_SOCKET=%s", workplace_path("nobody")), NULL};
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = workplace_path("routes.json"), .environment = environment});

    gateway_wait_stderr(gateway, "cannot be told anything", NULL);
    expect_status(ask_admin("POST", "/reload"), 200);
    gateway_stop(gateway);
    const char *said = strstr(gateway_stderr(gateway), "cannot be told anything");
    cr_assert_null(strstr(said + 1, "cannot be told anything"), "once");
}

/* --- sockets that were handed over ---------------------------------------------------------------
 */

struct shelf {
    int fds[8];
    char addresses[8][96];
    int count;
};

/* Opens a listening socket, as a service manager does before the gateway runs. Returns where. */
static const char *put(struct shelf *shelf, const char *address)
{
    int place = shelf->count++;

    shelf->fds[place] = wire_listen(address, shelf->addresses[place], sizeof shelf->addresses[0]);
    return shelf->addresses[place];
}

static void clear(struct shelf *shelf)
{
    for (int i = 0; i < shelf->count; i++)
        close(shelf->fds[i]);
}

static struct gateway *start_with(const struct shelf *shelf, const char *names)
{
    return gateway_start_with(&(struct gateway_options){.routes = workplace_path("routes.json"),
                                                        .workers = 2,
                                                        .handed_over = shelf->fds,
                                                        .handed_over_count = shelf->count,
                                                        .handed_over_names = names});
}

#define LISTEN "'certs': '@tmp/certs', 'log': { 'format': 'json' }, 'listen': "
#define ROUTES "'routes': { 'a.test': { 'respond': { 'body': 'a' } } }"

static struct client *open_at(const char *address)
{
    return client_open_with(address, &(struct client_options){.sni = "a.test"});
}

Test(systemd, listeners_use_the_sockets_of_their_addresses)
{
    struct shelf shelf = {.count = 0};
    const char *first = put(&shelf, "127.0.0.1:0"), *second = put(&shelf, "127.0.0.1:0");
    const char *plain = put(&shelf, "127.0.0.1:0"), *status = put(&shelf, "127.0.0.1:0");
    const char *admin = put(&shelf, text("unix:%s/admin.sock", workplace_folder()));
    const char *unwanted = put(&shelf, "127.0.0.1:0");
    struct stat before, after;

    chmod(admin + 5, 0640);
    stat(admin + 5, &before);
    route_file(
        "routes.json",
        "{ " LISTEN "{ 'https': ['%s', '%s', '127.0.0.1:0'],"
        "  'http': { 'bind': '%s', 'serve': 'routes' }, 'status': '%s', 'admin': '%s' }," ROUTES
        " }",
        first, second, plain, status, admin);
    struct gateway *gateway = start_with(&shelf, "one:two:three:four:admin:six");

    cr_assert_str_eq(gateway_address(gateway, "https", 0), first);
    cr_assert_str_eq(gateway_address(gateway, "https", 1), second);
    cr_assert_str_eq(gateway_address(gateway, "http", 0), plain);
    /* Both workers accept from each: whoever comes first. */
    for (int i = 0; i < 50; i++) {
        expect_body(client_get(open_at(first), "a.test", "/"), "a");
        expect_body(client_get(open_at(second), "a.test", "/"), "a");
    }
    expect_body(client_get(open_at(gateway_address(gateway, "https", 2)), "a.test", "/"), "a");
    expect_body(client_get(client_open_plain(plain), "a.test", "/"), "a");
    expect_status(ask_plain(status, "GET", "/readyz"), 200);
    expect_status(ask_admin("GET", "/healthz"), 200);
    gateway_wait_stderr(gateway, "socket_unused", NULL);
    gateway_wait_stderr(gateway, text("%s (six)", unwanted), NULL);

    gateway_stop(gateway);
    cr_assert_eq(stat(admin + 5, &after), 0, "its owner's to remove");
    cr_assert_eq(after.st_ino, before.st_ino);
    cr_assert_eq(after.st_mode, before.st_mode);
    clear(&shelf);
}

/* Named nowhere: found among the places where the gateway would have made it. */
Test(systemd, admin_socket_at_its_default_place)
{
    struct shelf shelf = {.count = 0};
    const char *const environment[] = {text("RUNTIME_DIRECTORY=%s", workplace_folder()), NULL};
    const char *admin = put(&shelf, text("unix:%s/admin.sock", workplace_folder()));

    route_file("routes.json", "{ " LISTEN "{ 'https': '127.0.0.1:0' }, " ROUTES " }");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = workplace_path("routes.json"),
                                                     .environment = environment,
                                                     .handed_over = shelf.fds,
                                                     .handed_over_count = shelf.count});
    expect_status(ask_admin("GET", "/healthz"), 200);
    cr_assert_null(strstr(gateway_stderr(gateway), "socket_unused"));
    gateway_signal(gateway, SIGTERM);
    gateway_stop_expecting(gateway, 0);
    cr_assert_eq(access(admin + 5, F_OK), 0);
    clear(&shelf);
}

/* One that takes both families; -1 where there is no IPv6. */
static int listen_dual(int *port)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t length = sizeof at;
    int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (void *)&at, length) != 0 || listen(fd, 1024) != 0)
        workplace_fail("no socket of both families");
    getsockname(fd, (void *)&at, &length);
    *port = ntohs(at.sin6_port);
    return fd;
}

Test(systemd, one_socket_of_both_families_serves_both)
{
    int port;
    struct shelf shelf = {.fds = {listen_dual(&port)}, .count = 1};

    if (shelf.fds[0] < 0)
        cr_skip_test("no IPv6 here");
    route_file("routes.json",
               "{ " LISTEN "{ 'https': ':%d', 'admin': 'unix:@tmp/admin.sock' }, " ROUTES " }",
               port);
    struct gateway *gateway = start_with(&shelf, NULL);

    expect_body(client_get(open_at(text("[::1]:%d", port)), "a.test", "/"), "a");
    expect_body(client_get(open_at(text("127.0.0.1:%d", port)), "a.test", "/"), "a");
    log_entry_with(gateway, "client_ip", "::1");
    log_entry_with(gateway, "client_ip", "127.0.0.1");
    cr_assert_eq(json_array_size(json_object_get(gateway_ready(gateway), "https")), 1);

    /* The port is not free for anything else, and the reason is said. */
    route_file("routes.json",
               "{ " LISTEN "{ 'https': '127.0.0.1:%d', 'admin': 'unix:@tmp/admin.sock' }, " ROUTES
               " }",
               port);
    struct message *refusal = ask_admin("POST", "/reload");
    expect_status(refusal, 422);
    cr_assert_not_null(strstr(refusal->body, text("[::]:%d was handed over", port)), "%s",
                       refusal->body);
    gateway_stop(gateway);
    clear(&shelf);
}

static void write_listening(const char *https)
{
    route_file("routes.json",
               "{ " LISTEN "{ 'https': [%s], 'admin': 'unix:@tmp/admin.sock' }, " ROUTES " }",
               https);
}

Test(systemd, a_socket_that_is_left_can_be_taken_again)
{
    struct shelf shelf = {.count = 0};
    const char *kept = put(&shelf, "127.0.0.1:0"), *other = put(&shelf, "127.0.0.1:0");
    const char *both = text("'%s', '%s'", kept, other), *one = text("'%s'", kept);
    size_t position = 0;

    write_listening(both);
    struct gateway *gateway = start_with(&shelf, NULL);
    expect_body(client_get(open_at(other), "a.test", "/"), "a");
    cr_assert_null(strstr(gateway_stderr(gateway), "socket_unused"));
    for (int i = 0; i < 3; i++) {
        write_listening(one);
        expect_status(ask_admin("POST", "/reload"), 200);
        gateway_wait_stderr(gateway, "socket_unused", &position);
        gateway_wait_stderr(gateway, other, &position);
        /* Who comes now is not refused, and waits. */
        struct client *client = client_begin(other, &(struct client_options){.sni = "a.test"});
        expect_body(client_get(open_at(kept), "a.test", "/"), "a");
        write_listening(both);
        expect_status(ask_admin("POST", "/reload"), 200);
        client_finish(client);
        expect_body(client_get(client, "a.test", "/"), "a");
    }
    gateway_stop(gateway);
    clear(&shelf);
}

Test(systemd, what_cannot_be_listened_on_is_ignored_aloud)
{
    struct shelf shelf = {.count = 0};
    const char *good = put(&shelf, "127.0.0.1:0");
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    shelf.fds[shelf.count++] = ends[0];
    shelf.fds[shelf.count++] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    shelf.fds[shelf.count++] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    write_listening(text("'%s'", good));
    struct gateway *gateway = start_with(&shelf, "good:pipe:datagrams:deaf");

    gateway_wait_stderr(gateway, "descriptor 4 (pipe)", NULL);
    gateway_wait_stderr(gateway, "descriptor 5 (datagrams)", NULL);
    gateway_wait_stderr(gateway, "descriptor 6 (deaf)", NULL);
    expect_body(client_get(open_at(good), "a.test", "/"), "a");
    gateway_stop(gateway);
    close(ends[1]);
    clear(&shelf);
}

/* --- a restart that nobody sees ------------------------------------------------------------------
 */

struct visitor {
    pthread_t thread;
    const char *address;
    atomic_bool is_over;
    atomic_int answers;
};

/* Connects, asks and is answered, again and again; each failure is noted. */
static void *visit(void *arg)
{
    struct visitor *visitor = arg;

    while (!atomic_load(&visitor->is_over)) {
        struct client *client =
            client_make(visitor->address, &(struct client_options){.sni = "a.test"});
        if (client == NULL || !client->is_connected)
            workplace_fail("a connection was %s", client == NULL ? "refused" : "cut");
        expect_body(client_get(client, "a.test", "/"), "a");
        client_free(client);
        atomic_fetch_add(&visitor->answers, 1);
    }
    return NULL;
}

static void wait_for_answers(struct visitor *visitors, int count)
{
    long long start = monitor_now_ms();

    for (int i = 0; i < count; i++) {
        int from = atomic_load(&visitors[i].answers);
        while (atomic_load(&visitors[i].answers) < from + 5)
            workplace_require(monitor_may_ask_again(start), "visitor %d is not answered", i);
    }
}

Test(systemd, nobody_is_refused_while_the_gateway_restarts)
{
    enum { VISITORS = 4, RESTARTS = 3 };
    struct shelf shelf = {.count = 0};
    const char *address = put(&shelf, "127.0.0.1:0");
    struct visitor visitors[VISITORS] = {0};

    write_listening(text("'%s'", address));
    struct gateway *gateway = start_with(&shelf, NULL);
    for (int i = 0; i < VISITORS; i++) {
        visitors[i].address = address;
        cr_assert_eq(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (int i = 0; i < RESTARTS; i++) {
        wait_for_answers(visitors, VISITORS);
        gateway_stop(gateway);
        /* Nobody is there now: those who come wait. */
        gateway = start_with(&shelf, NULL);
    }
    wait_for_answers(visitors, VISITORS);
    for (int i = 0; i < VISITORS; i++)
        atomic_store(&visitors[i].is_over, true);
    for (int i = 0; i < VISITORS; i++)
        pthread_join(visitors[i].thread, NULL);
    gateway_stop(gateway);
    clear(&shelf);
}
