/* Generations: SIGHUP, `reload` and POST /reload swap what should be, without losing what is. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/protocol.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(reload);

#define SAYS "{ @base, 'routes': { 'a.test': { 'respond': { 'body': '%s' } } } }"

static json_t *reload_now(void)
{
    struct message *response = ask_admin("POST", "/reload");

    expect_status(response, 200);
    return json_from(response->body);
}

static void expect_reloaded(int generation)
{
    json_t *answer = reload_now();

    expect_number(answer, "generation", generation);
    cr_assert(json_is_false(json_member(answer, "unchanged")));
    cr_assert(json_is_array(json_member(answer, "quarantined")));
}

static json_t *expect_refused(void)
{
    struct message *response = ask_admin("POST", "/reload");

    expect_status(response, 422);
    json_t *errors = json_member(json_from(response->body), "errors");
    cr_assert_geq(json_array_size(errors), 1);
    return json_array_get(errors, 0);
}

Test(reload, post_reload_numbers_generations)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    struct client *client = client_open(gateway, "a.test");

    expect_body(client_get(client, "a.test", "/"), "one");
    gateway_rewrite(SAYS, "two");
    expect_reloaded(2);
    expect_body(client_get(client, "a.test", "/"), "two");
    json_t *answer = reload_now();
    expect_number(answer, "generation", 2);
    cr_assert(json_is_true(json_member(answer, "unchanged")));
    gateway_rewrite(SAYS, "three");
    expect_reloaded(3);
    expect_body(client_get(client, "a.test", "/"), "three");
    expect_number(log_entry(gateway, 0), "generation", 1);
    expect_number(log_entry(gateway, 2), "generation", 3);
    gateway_stop(gateway);
}

Test(reload, sighup)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    struct client *client = client_open(gateway, "a.test");
    long long start = monitor_now_ms();

    gateway_rewrite(SAYS, "two");
    gateway_signal(gateway, SIGHUP);
    while (strcmp(client_get(client, "a.test", "/")->body, "two") != 0)
        workplace_require(monitor_may_ask_again(start), "SIGHUP loads nothing");
    gateway_stop(gateway);
}

Test(reload, refused_by_sighup_says_why)
{
    struct gateway *gateway = gateway_start(SAYS, "one");

    gateway_rewrite("{ @base, 'oops': 1, 'routes': { 'a.test': { 'respond': {} } } }");
    gateway_signal(gateway, SIGHUP);
    gateway_wait_stderr(gateway, "oops", NULL);
    expect_body(fetch(gateway, "a.test", "/"), "one");
    gateway_stop(gateway);
}

Test(reload, command_waits_and_tells)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    const char *routes = workplace_path("routes.json");

    gateway_rewrite(SAYS, "two");
    struct command *command = SALLYPORT("reload", "-c", routes);
    command_expect(command, 0);
    command_says(command, "generation 2");
    command_says(command, "~ host a.test");
    expect_body(fetch(gateway, "a.test", "/"), "two");

    command = SALLYPORT("reload", "--json", "-c", routes);
    command_expect(command, 0);
    cr_assert(json_is_true(json_member(json_from(command->out), "unchanged")));

    gateway_rewrite(SAYS, "three");
    command = SALLYPORT("reload", "--json", "-c", routes);
    command_expect(command, 0);
    json_t *change = json_array_get(json_member(json_from(command->out), "changes"), 0);
    expect_string(change, "about", "host");
    expect_string(change, "name", "a.test");

    gateway_rewrite("{ @base, 'opps': 1,\n 'ooops': 2, 'routes': {} }");
    command = SALLYPORT("reload", "--admin", text("unix:%s/admin.sock", workplace_folder()));
    command_expect(command, 1);
    command_says(command, "opps");
    command_says(command, "ooops");
    command_says(command, "routes.json:2:");
    gateway_stop(gateway);
    command = SALLYPORT("reload", "-c", routes);
    command_expect(command, 1);
}

Test(reload, refused_load_changes_nothing_and_uses_no_number)
{
    struct gateway *gateway = gateway_start(SAYS, "one");

    gateway_rewrite("{ @base, 'routes': { 'a.test': 'https://x' } }");
    json_t *error = expect_refused();
    cr_assert_not_null(strstr(json_string_value(json_member(error, "file")), "routes.json"));
    expect_number(error, "line", 1);
    cr_assert_not_null(strstr(json_string_value(json_member(error, "path")), "a.test"));
    expect_body(fetch(gateway, "a.test", "/"), "one");
    gateway_rewrite("{");
    expect_refused();
    cr_assert_eq(unlink(workplace_path("routes.json")), 0);
    expect_refused();
    expect_body(fetch(gateway, "a.test", "/"), "one");
    gateway_rewrite(SAYS, "two");
    expect_reloaded(2);
    expect_body(fetch(gateway, "a.test", "/"), "two");
    gateway_stop(gateway);
}

Test(reload, failing_route_test_refuses)
{
    static const char *const with_test =
        "{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'two' } } },"
        "  'tests': [ { 'request': 'GET https://a.test/', 'expect': { ";
    struct gateway *gateway = gateway_start(SAYS, "one");

    gateway_rewrite("%s'status': 500 } } ] }", with_test);
    expect_refused();
    expect_body(fetch(gateway, "a.test", "/"), "one");
    /* Certificates and alerts only warn in a load. */
    gateway_rewrite("%s'cert': 'other.example' } } ] }", with_test);
    expect_reloaded(2);
    expect_body(fetch(gateway, "a.test", "/"), "two");
    gateway_stop(gateway);
}

static void wait_then_tell(struct origin_turn *turn)
{
    if (!gate_wait(turn->arg))
        workplace_note("nobody opened the gate");
    origin_tell(turn);
}

Test(reload, requests_in_flight_finish_on_their_generation)
{
    struct origin *old = origin_start("old");
    struct origin *new = origin_start("new");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(old));
    struct client *client = client_open(gateway, "a.test");
    struct gate *gate = gate_new();

    origin_set_script(old, "/slow", wait_then_tell, gate);
    client_send(client, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin_wait_requests(old, 1);
    gateway_rewrite("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(new));
    expect_reloaded(2);
    expect_from(fetch(gateway, "a.test", "/"), "new");
    gate_open(gate);
    expect_from(client_response(client), "old");
    expect_from(client_get(client, "a.test", "/"), "new");
    expect_number(log_entry(gateway, 0), "generation", 2);
    expect_number(log_entry(gateway, 1), "generation", 1);
    expect_number(log_entry(gateway, 2), "generation", 2);
    gateway_stop(gateway);
}

Test(reload, tunnels_live_on)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    client_send(client, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
    cr_assert_eq(client_response(client)->status, 101);
    for (int i = 2; i < 5; i++) {
        gateway_rewrite("{ @base, 'routes': { 'x%d.test': '127.0.0.1:1' } }", i);
        expect_reloaded(i);
        client_send(client, "hello");
        while (wire_held(&client->wire) < 5)
            cr_assert(wire_fill(&client->wire), "the tunnel is gone");
        wire_take(&client->wire, 5);
    }
    wire_half_close(&client->wire);
    cr_assert_eq(client_read_to_end(client), WIRE_CLOSED);
    gateway_stop(gateway);
}

Test(reload, settings_of_the_next_request)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    origin_set_script(origin, NULL, origin_echo, NULL);
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_body(client_response(client), "hello");
    gateway_rewrite("{ @base, 'defaults': { 'max_body': 3 }, 'routes': { 'a.test': '%s' } }",
                    origin_address(origin));
    expect_reloaded(2);
    client_send(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_refusal(client_response(client), 413, "body_too_large");
    gateway_stop(gateway);
}

Test(reload, pools_live_on)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start(
        "{ @base, 'backends': { 'b': { 'servers': ['%s'] } }, 'routes': { 'a.test': 'b' } }",
        origin_address(origin));
    struct client *client = client_open(gateway, "a.test");

    expect_from(client_get(client, "a.test", "/"), "one");
    gateway_rewrite("{ @base, 'backends': { 'b': { 'servers': ['%s'] } },"
                    "  'routes': { 'a.test': 'b', 'b.test': 'b' } }",
                    origin_address(origin));
    expect_reloaded(2);
    expect_from(client_get(client, "b.test", "/"), "one");
    cr_assert_eq(origin_connections(origin), 1);
    gateway_stop(gateway);
}

#define LISTENS                                                                       \
    "{ 'listen': { 'https': %s, 'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs'," \
    "  'log': { 'format': 'json' }, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }"

Test(reload, listeners_come_and_go)
{
    const char *stays = workplace_free_address();
    const char *goes = workplace_free_address();
    const char *comes = workplace_free_address();
    struct client_options options = {.sni = "a.test"};
    struct gateway *gateway = gateway_start(LISTENS, text("['%s', '%s']", stays, goes));
    struct client *on_stays = client_open_with(stays, &options);
    struct client *on_goes = client_open_with(goes, &options);

    expect_body(client_get(on_stays, "a.test", "/"), "ok");
    expect_body(client_get(on_goes, "a.test", "/"), "ok");
    gateway_rewrite(LISTENS, text("['%s', '%s']", stays, comes));
    expect_reloaded(2);
    struct client *on_comes = client_open_with(comes, &options);
    expect_body(client_get(on_comes, "a.test", "/"), "ok");
    expect_body(client_get(on_stays, "a.test", "/"), "ok");
    long long start = monitor_now_ms();
    for (int fd; (fd = wire_dial(goes, false)) >= 0; close(fd))
        workplace_require(monitor_may_ask_again(start), "a removed listener still accepts");
    /* Its connections finish: a request on one is answered, or it was closed in order. */
    if (wire_print(&on_goes->wire, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")) {
        struct message *last = message_new();
        if (message_read_head(&on_goes->wire, last, false))
            cr_assert_eq(last->status, 200);
    }
    gateway_stop(gateway);
}

Test(reload, listener_that_cannot_be_bound_refuses)
{
    char taken[64];
    int holder = wire_listen("127.0.0.1:0", taken, sizeof taken);
    const char *stays = workplace_free_address();
    struct gateway *gateway = gateway_start(LISTENS, text("'%s'", stays));

    gateway_rewrite(LISTENS, text("['%s', '%s']", stays, taken));
    expect_refused();
    struct client *client = client_open_with(stays, &(struct client_options){.sni = "a.test"});
    expect_body(client_get(client, "a.test", "/"), "ok");
    close(holder);
    expect_reloaded(2);
    client = client_open_with(taken, &(struct client_options){.sni = "a.test"});
    expect_body(client_get(client, "a.test", "/"), "ok");
    gateway_stop(gateway);
}

Test(reload, admin_socket_waits_for_a_restart)
{
    struct gateway *gateway = gateway_start(SAYS, "one");

    gateway_rewrite("{ 'listen': { 'https': '127.0.0.1:0', 'status': '127.0.0.1:0',"
                    "  'admin': 'unix:@tmp/other.sock' }, 'certs': 'certs',"
                    "  'routes': { 'a.test': { 'respond': { 'body': 'two' } } } }");
    expect_reloaded(2);
    gateway_wait_stderr(gateway, "listen.admin", NULL);
    expect_status(ask_admin("GET", "/healthz"), 200);
    cr_assert_neq(access(workplace_path("other.sock"), F_OK), 0);
    gateway_stop(gateway);
}

Test(reload, certificates_are_swapped)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    struct client *old = client_open(gateway, "a.test");
    struct cert *renewed = cert_new("a.test, b.test");

    expect_body(client_get(old, "a.test", "/"), "one");
    cert_write_bundle(renewed, workplace_path("certs/site.pem"));
    expect_reloaded(2);
    struct client *new = client_open(gateway, "a.test");
    cr_assert(cert_is(renewed, client_peer(new)));
    expect_body(client_get(new, "a.test", "/"), "one");
    expect_body(client_get(old, "a.test", "/"), "one");
    json_t *answer = reload_now();
    cr_assert(json_is_true(json_member(answer, "unchanged")));
    gateway_stop(gateway);
}

static void wait_metric(const char *member, int count)
{
    long long start = monitor_now_ms();
    json_t *status;

    do {
        cr_assert(monitor_may_ask_again(start), "%s does not become %d", member, count);
        status = json_from(ask_admin("GET", "/status")->body);
    } while (json_integer_value(json_member(status, member)) != count);
}

#define EARLY 8

/* Accepted under an old generation, silent until a newer one is served. */
Test(reload, handshake_after_the_reload_sees_the_new_certificate)
{
    struct gateway *gateway = gateway_start_with(
        &(struct gateway_options){.routes = route_file("routes.json", SAYS, "one"), .workers = 2});
    struct client_options options = {.sni = "a.test"};
    struct client *early[EARLY];
    struct cert *renewed = NULL;

    for (int i = 0; i < EARLY; i++)
        early[i] = client_open_plain(gateway_https(gateway));
    wait_metric("connections.handshaking", EARLY);
    for (int i = 2; i < 5; i++) {
        renewed = cert_new("a.test");
        cert_write_bundle(renewed, workplace_path("certs/site.pem"));
        expect_reloaded(i);
    }
    for (int i = 0; i < EARLY; i++) {
        client_speak_tls(early[i], &options);
        cr_assert(cert_is(renewed, client_peer(early[i])), "connection %d: an older one", i);
        expect_body(client_get(early[i], "a.test", "/"), "one");
    }
    gateway_stop(gateway);
}

Test(reload, tickets_live_on)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    struct client_options options = {.sni = "a.test"};
    struct client *first = client_open_with(gateway_https(gateway), &options);

    expect_body(client_get(first, "a.test", "/"), "one");
    client_close(first);
    gateway_rewrite(SAYS, "two");
    expect_reloaded(2);
    options.session = SSL_SESSION_dup(first->session);
    struct client *again = client_open_with(gateway_https(gateway), &options);
    SSL_SESSION_free(options.session);
    cr_assert(SSL_session_reused(again->wire.ssl));
    expect_body(client_get(again, "a.test", "/"), "two");
    gateway_stop(gateway);
}

/* A request that began before the reload first needs its backend after it. */
Test(reload, late_request_does_not_bring_old_servers_back)
{
    needs_http1("half a head is no frame");
    struct origin *old = origin_start("old"), *new = origin_start("new");
    struct gateway *gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(old));
    struct client *slow = client_open(gateway, "a.test");

    client_send(slow, "GET / HTTP/1.1\r\n");
    wait_metric("metrics.requests_in_flight", 1);
    gateway_rewrite("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(new));
    expect_reloaded(2);
    expect_from(fetch(gateway, "a.test", "/"), "new");
    client_send(slow, "Host: a.test\r\n\r\n");
    expect_status(client_response(slow), 200);
    expect_from(fetch(gateway, "a.test", "/"), "new");
    gateway_stop(gateway);
}

struct asker {
    struct gateway *gateway;
    bool is_done;
    int count;
};

static void *ask_on(void *arg)
{
    struct asker *asker = arg;
    struct client *client = client_open(asker->gateway, "a.test");
    bool is_done = false;

    while (!is_done) {
        struct message *response = client_get(client, "a.test", "/");
        expect_status(response, 200);
        if (message_field(response, "Connection") != NULL) /* it has carried its last one */
            client = client_open(asker->gateway, "a.test");
        monitor_lock();
        asker->count++;
        is_done = asker->is_done;
        monitor_changed();
        monitor_unlock();
    }
    return NULL;
}

static bool has_asked(void *arg)
{
    return ((struct asker *)arg)->count >= 10;
}

Test(reload, many_reloads_under_load_leave_nothing_behind)
{
    struct gateway *gateway = gateway_start_with(
        &(struct gateway_options){.routes = route_file("routes.json", SAYS, "0"), .workers = 2});
    struct asker asker = {.gateway = gateway};
    pthread_t thread;
    int files = 0;

    pthread_create(&thread, NULL, ask_on, &asker);
    cr_assert(monitor_wait(has_asked, &asker));
    for (int i = 1; i <= 30; i++) {
        gateway_rewrite(SAYS, text("%d", i));
        expect_reloaded(i + 1);
        expect_body(fetch(gateway, "a.test", "/"), text("%d", i));
        if (i == 10)
            files = gateway_open_files(gateway);
    }
    /* One connection more or less may be on its way out. */
    workplace_require(gateway_open_files(gateway) <= files + 3, "%d files are open, %d were",
                      gateway_open_files(gateway), files);
    monitor_lock();
    asker.is_done = true;
    monitor_unlock();
    pthread_join(thread, NULL);
    gateway_stop(gateway);
}

static void *reload_once(void *arg)
{
    struct message **answer = arg;

    *answer = ask_admin("POST", "/reload");
    return NULL;
}

Test(reload, loads_at_once_are_served_one_by_one)
{
    struct gateway *gateway = gateway_start(SAYS, "one");
    struct message *answers[8];
    pthread_t threads[8];
    int changes = 0;

    gateway_rewrite(SAYS, "two");
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, reload_once, &answers[i]);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    workplace_settle();
    for (int i = 0; i < 8; i++) {
        expect_status(answers[i], 200);
        json_t *answer = json_from(answers[i]->body);
        expect_number(answer, "generation", 2);
        changes += json_is_false(json_member(answer, "unchanged"));
    }
    cr_assert_geq(changes, 1);
    expect_body(fetch(gateway, "a.test", "/"), "two");
    gateway_stop(gateway);
}
