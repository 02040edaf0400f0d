/* Starting, refusing to start, and the commands that need no running gateway: words and exit codes.
 */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(start);

static struct command *run_gateway(const char *routes)
{
    return SALLYPORT("run", "-c", routes, "--workers", "1");
}

Test(start, ready_line_names_every_listener)
{
    const char *routes =
        route_file("routes.json", "{ 'certs': 'certs', 'log': { 'level': 'error' },"
                                  "  'listen': { 'https': ['127.0.0.1:0', '127.0.0.1:0'],"
                                  "    'http': '127.0.0.1:0', 'status': '127.0.0.1:0',"
                                  "    'admin': 'unix:@tmp/admin.sock' },"
                                  "  'routes': { '*': { 'respond': { 'body': 'hello' } } } }");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = routes, .workers = 2});
    json_t *ready = gateway_ready(gateway);

    expect_string(ready, "event", "ready");
    expect_number(ready, "generation", 1);
    expect_number(ready, "workers", 2);
    cr_assert_eq(json_array_size(json_member(ready, "https")), 2);
    cr_assert_eq(json_array_size(json_member(ready, "http")), 1);
    cr_assert_eq(json_array_size(json_member(ready, "status")), 1);
    cr_assert_not_null(strstr(json_string_value(json_member(ready, "admin")), "/admin.sock"));
    for (int i = 0; i < 2; i++) {
        struct client *client = client_open_with(gateway_address(gateway, "https", i),
                                                 &(struct client_options){.sni = "a.test"});
        expect_body(client_get(client, "a.test", "/"), "hello");
    }
    gateway_stop(gateway);
}

Test(start, absent_listeners_are_empty_lists)
{
    struct gateway *gateway = gateway_start(
        "{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0', 'status': 'off',"
        "  'admin': 'unix:@tmp/admin.sock' }, 'routes': { '*': { 'respond': {} } } }");

    cr_assert_eq(json_array_size(json_member(gateway_ready(gateway), "http")), 0);
    cr_assert_eq(json_array_size(json_member(gateway_ready(gateway), "status")), 0);
    gateway_stop(gateway);
}

Test(start, both_families_on_a_port_alone)
{
    struct gateway *gateway = gateway_start(
        "{ 'certs': 'certs', 'listen': { 'https': ':0', 'admin': 'unix:@tmp/a.sock' },"
        "  'routes': { '*': { 'respond': { 'body': 'both' } } } }");
    int port = gateway_port(gateway, "https");
    struct client *v4 =
        client_open_with(text("127.0.0.1:%d", port), &(struct client_options){.sni = "a.test"});

    expect_body(client_get(v4, "a.test", "/"), "both");
    if (access("/proc/net/if_inet6", R_OK) == 0 && *workplace_read("/proc/net/if_inet6") != '\0') {
        struct client *v6 =
            client_open_with(text("[::1]:%d", port), &(struct client_options){.sni = "a.test"});
        expect_body(client_get(v6, "a.test", "/"), "both");
    }
    gateway_stop(gateway);
}

Test(start, taken_port_is_one_clear_sentence)
{
    char address[64];
    int taken = wire_listen("127.0.0.1:0", address, sizeof address);
    struct command *command = run_gateway(
        route_file("routes.json",
                   "{ 'certs': 'certs', 'listen': { 'https': '%s', 'admin': 'unix:@tmp/a.sock' },"
                   "  'routes': { '*': { 'respond': {} } } }",
                   address));

    close(taken);
    command_expect(command, 1);
    command_says(command, address);
    cr_assert_null(strstr(command->err, "\"ready\""));
}

Test(start, port_held_by_another_gateway_is_refused)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    struct command *command = run_gateway(
        route_file("other.json",
                   "{ 'certs': 'certs', 'listen': { 'https': '%s', 'admin': 'unix:@tmp/b.sock' },"
                   "  'routes': { '*': { 'respond': {} } } }",
                   gateway_https(gateway)));

    command_expect(command, 1);
    command_says(command, gateway_https(gateway));
    expect_status(fetch(gateway, "a.test", "/"), 200);
    gateway_stop(gateway);
}

Test(start, admin_socket_of_a_running_gateway_is_refused)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    struct command *command =
        run_gateway(route_file("other.json", "{ @base, 'routes': { '*': { 'respond': {} } } }"));

    command_expect(command, 1);
    command_says(command, "admin.sock");
    expect_status(ask_admin("GET", "/healthz"), 200);
    gateway_stop(gateway);
}

Test(start, dead_admin_socket_is_replaced)
{
    char bound[128];
    struct stat about;
    int dead = wire_listen(text("unix:%s/admin.sock", workplace_folder()), bound, sizeof bound);

    close(dead);
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    expect_status(ask_admin("GET", "/healthz"), 200);
    cr_assert_eq(stat(workplace_path("admin.sock"), &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0600);
    gateway_stop(gateway);
}

Test(start, admin_socket_that_cannot_be_made_is_refused)
{
    struct command *command = run_gateway(
        route_file("routes.json", "{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0',"
                                  "  'admin': 'unix:@tmp/nowhere/admin.sock' },"
                                  "  'routes': { '*': { 'respond': {} } } }"));

    command_expect(command, 1);
    command_says(command, "nowhere/admin.sock");
}

Test(start, missing_certificate_folder)
{
    struct command *command = run_gateway(route_file(
        "routes.json", "{ 'certs': 'nowhere', 'listen': { 'https': '127.0.0.1:0',"
                       "  'admin': 'unix:@tmp/a.sock' }, 'routes': { '*': { 'respond': {} } } }"));

    command_expect(command, 3);
    command_says(command, "nowhere");
}

Test(start, no_usable_certificate)
{
    workplace_make_folder("empty");
    struct command *command = run_gateway(route_file(
        "routes.json", "{ 'certs': 'empty', 'listen': { 'https': '127.0.0.1:0',"
                       "  'admin': 'unix:@tmp/a.sock' }, 'routes': { '*': { 'respond': {} } } }"));

    command_expect(command, 3);
    command_says(command, "certificate");
}

Test(start, key_mismatch_stops_only_itself)
{
    cert_write_chain(cert_new("wrong.example"), workplace_path("certs/wrong.crt"));
    cert_write_key(cert_new("wrong.example"), workplace_path("certs/wrong.key"));
    const char *routes =
        route_file("routes.json", "{ @base, 'routes': { '*': { 'respond': { 'body': 'ok' } } } }");
    struct command *check = SALLYPORT("check", "-c", routes);
    command_expect(check, 3);
    command_says(check, "wrong");

    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});
    gateway_wait_stderr(gateway, "wrong", NULL);
    expect_body(fetch(gateway, "a.test", "/"), "ok");
    gateway_stop(gateway);
}

Test(start, wrong_usage_is_exit_2)
{
    command_expect(SALLYPORT("frobnicate"), 2);
    command_expect(SALLYPORT("run", "--frobnicate"), 2);
    command_expect(SALLYPORT("run", "--workers", "many"), 2);
    command_expect(SALLYPORT("run", "--workers", "0"), 2);
    command_expect(SALLYPORT("check", "-c"), 2);
    command_expect(SALLYPORT("help", "frobnicate"), 2);
    command_expect(SALLYPORT("version", "superfluous"), 2);
}

Test(start, version_and_help)
{
    static const char *const versions[] = {"version", "--version", "-V"};
    static const char *const helps[] = {"help", "--help", "-h"};

    for (int i = 0; i < 3; i++) {
        struct command *version = SALLYPORT(versions[i]);
        command_expect(version, 0);
        cr_assert_not_null(strstr(version->out, "sallyport"));
        cr_assert_not_null(strstr(version->out, "BoringSSL"));
        struct command *help = SALLYPORT(helps[i]);
        command_expect(help, 0);
        cr_assert_not_null(strstr(help->out, "healthcheck"));
        cr_assert_not_null(strstr(help->out, "reload"));
    }
    struct command *version = SALLYPORT("version", "--json");
    command_expect(version, 0);
    cr_assert(json_is_object(json_from(version->out)));
    struct command *help = SALLYPORT("help", "check");
    command_expect(help, 0);
    cr_assert_not_null(strstr(help->out, "check"));
}

Test(start, healthcheck_of_a_running_and_a_stopped_gateway)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    const char *routes = workplace_path("routes.json");
    const char *admin = text("unix:%s/admin.sock", workplace_folder());

    command_expect(SALLYPORT("healthcheck", "-c", routes), 0);
    command_expect(SALLYPORT("healthcheck", "--admin", admin), 0);
    gateway_stop(gateway);
    struct command *command = SALLYPORT("healthcheck", "-c", routes);
    command_expect(command, 1);
    command_says(command, "admin.sock");
    command_expect(SALLYPORT("healthcheck", "--admin", admin), 1);
}

Test(start, healthcheck_asks_status_without_an_admin_socket)
{
    const char *address = workplace_free_address();
    struct gateway *gateway =
        gateway_start("{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0', 'status': '%s',"
                      "  'admin': 'off' }, 'routes': { '*': { 'respond': {} } } }",
                      address);

    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 0);
    gateway_stop(gateway);
    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 1);
}

Test(start, healthcheck_connects_to_a_listener_at_last)
{
    const char *address = workplace_free_address();
    struct gateway *gateway =
        gateway_start("{ 'certs': 'certs', 'listen': { 'https': '%s', 'admin': 'off' },"
                      "  'routes': { '*': { 'respond': {} } } }",
                      address);

    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 0);
    gateway_stop(gateway);
    command_expect(SALLYPORT("healthcheck", "-c", workplace_path("routes.json")), 1);
}

Test(start, commands_without_a_gateway_name_what_they_tried)
{
    const char *admin = text("unix:%s/nobody.sock", workplace_folder());
    struct command *command = SALLYPORT("reload", "--admin", admin);

    command_expect(command, 1);
    command_says(command, "nobody.sock");
}

Test(start, route_file_from_the_environment_and_the_default_place)
{
    const char *good = route_file("good.json", "{ @base, 'routes': { '*': { 'respond': {} } } }");
    const char *setting = text("SALLYPORT_CONFIG=%s", good);

    workplace_make_folder("place/routes");
    command_expect(command_run_with((const char *const[]){sallyport_path(), "check", NULL}, NULL,
                                    (const char *const[]){setting, NULL}),
                   0);
    route_file("place/routes/routes.json",
               "{ 'certs': '../../certs', 'oops': 1, 'routes': { '*': { 'respond': {} } } }");
    struct command *command =
        COMMAND("env", "-C", workplace_path("place"), sallyport_path(), "check");
    command_expect(command, 3);
    command_says(command, "oops");
}

Test(start, no_command_is_run)
{
    struct command *command = SALLYPORT("-c", route_file("routes.json", "{ 'routes': 1 }"));

    command_expect(command, 3);
    command_says(command, "routes.json:1:");
}

Test(start, route_file_that_is_absent)
{
    struct command *command = SALLYPORT("check", "-c", workplace_path("absent.json"));

    command_expect(command, 3);
    command_says(command, "absent.json");
}

Test(start, restart_takes_the_same_addresses_at_once)
{
    const char *address = workplace_free_address();

    for (int i = 0; i < 2; i++) {
        struct gateway *gateway =
            gateway_start("{ 'certs': 'certs', 'listen': { 'https': '%s',"
                          "  'admin': 'unix:@tmp/admin.sock' },"
                          "  'routes': { '*': { 'respond': { 'body': 'again' } } } }",
                          address);
        expect_body(fetch(gateway, "a.test", "/"), "again");
        gateway_stop(gateway);
        cr_assert_neq(access(workplace_path("admin.sock"), F_OK), 0);
    }
}
