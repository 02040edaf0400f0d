/* `diff`: what would change, and which recent requests would be answered differently. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(diff);

/* `diff NEW --json` against the gateway of this workplace; exit 4 when there are changes, else 0.
 */
static json_t *diff_json(const char *file, int exit_code)
{
    struct command *command =
        SALLYPORT("diff", file, "--json", "-c", workplace_path("routes.json"));

    command_expect(command, exit_code);
    return json_from(command->out);
}

static char *dumped(json_t *value)
{
    return workplace_own(json_dumps(value, 0), free);
}

static json_t *find_change(json_t *diff, const char *change, const char *about, const char *name)
{
    json_t *list = json_member(diff, "changes");

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *its_name = json_string_value(json_object_get(one, "name"));
        if (strcmp(json_string_value(json_object_get(one, "change")), change) == 0 &&
            strcmp(json_string_value(json_object_get(one, "about")), about) == 0 &&
            strcmp(its_name != NULL ? its_name : "", name) == 0)
            return one;
    }
    workplace_fail("no change \"%s %s %s\" in %s", change, about, name, dumped(diff));
}

/* --- exit codes and sides -----------------------------------------------------------------------
 */

Test(diff, of_two_files)
{
    const char *older = route_file("routes.json", "{ @base, 'routes': { 'a.test': 'x:1' } }");
    const char *newer =
        route_file("new.json", "{ @base, 'routes': { 'a.test': 'x:2', 'b.test': 'x:1' } }");
    struct command *command = SALLYPORT("diff", newer, "-c", older);

    command_expect(command, 4);
    command_says(command, "~ host a.test: x:1 -> x:2\n");
    command_says(command, "+ host b.test: x:1\n");
    cr_assert_not_null(strstr(command->err, "no running gateway"));
    cr_assert_null(strstr(command->out, "\033"), "no colours but on a terminal");

    json_t *diff = diff_json(newer, 4);
    expect_string(diff, "old.from", "file");
    expect_string(diff, "old.file", older);
    expect_string(diff, "new.file", newer);
    expect_null(diff, "old.generation");
    expect_null(diff, "requests");
    expect_string(find_change(diff, "moved", "host", "a.test"), "is", "x:2");

    route_file("new.json", "{ '//': 0, 'routes': { 'A.test.': 'x:1' }, @base }");
    command = SALLYPORT("diff", newer, "-c", older);
    command_expect(command, 0);
    command_says(command, "nothing would change");
}

Test(diff, exit_codes_when_something_is_wrong)
{
    const char *good = route_file("routes.json", "{ @base, 'routes': { 'a.test': 'x:1' } }");
    const char *bad = route_file("bad.json", "{ @base, 'routs': {}, 'routes': { 'a.test': 5 } }");
    struct command *command = SALLYPORT("diff", bad, "-c", good);

    command_expect(command, 3);
    command_says(command, "routs");
    command_says(command, "bad.json:1:");
    command = SALLYPORT("diff", good, "-c", bad);
    command_expect(command, 3);
    command = SALLYPORT("diff", "--json", bad, "-c", good);
    command_expect(command, 3);
    cr_assert_eq(json_array_size(json_member(json_from(command->out), "errors")), 2);
    command = SALLYPORT("diff", workplace_path("none.json"), "-c", good);
    command_expect(command, 3);
    command = SALLYPORT("diff");
    command_expect(command, 2);
    command_says(command, "sallyport diff NEW.json");
    command = SALLYPORT("diff", good, "--admin", text("unix:%s/none.sock", workplace_folder()));
    command_expect(command, 1);
    route_file("failing.json", "{ @base, 'routes': { 'a.test': 'x:1' }, 'tests': [ { 'request': "
                               "'GET https://a.test/', 'expect': { 'status': 500 } } ] }");
    command = SALLYPORT("diff", workplace_path("failing.json"), "-c", good);
    command_expect(command, 3);
}

/* The file that runs may have been edited since: what runs is what counts. */
Test(diff, against_what_runs)
{
    static const char *const environment[] = {"E2E_BODY=out of ${x}", NULL};
    const char *routes =
        route_file("routes.json", "{ @base, 'routes': { 'a.test': { 'respond': { 'body': "
                                  "'${E2E_BODY}' } }, 'b.test': 'x:1' } }");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = routes, .environment = environment});

    gateway_rewrite("{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'out of $${x}' } } } }");
    json_t *diff = diff_json(routes, 4);
    expect_string(diff, "old.from", "running");
    expect_number(diff, "old.generation", 1);
    cr_assert_eq(json_array_size(json_member(diff, "changes")), 1, "%s", dumped(diff));
    expect_string(find_change(diff, "removed", "host", "b.test"), "was", "x:1");
    expect_status(ask_admin("POST", "/reload"), 200);
    diff = diff_json(routes, 0);
    expect_number(diff, "old.generation", 2);
    gateway_stop(gateway);
}

Test(diff, certificates_of_hosts)
{
    const char *routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': { 'respond': {} "
                                                   "}, 'pay.example': { 'respond': {} } } }");
    workplace_make_folder("certs");
    cert_write_bundle(cert_new("pay.example"), workplace_path("certs/pay.pem"));
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});
    struct client *client = client_open(gateway, "pay.example");

    expect_status(client_get(client, "pay.example", "/"), 200);
    expect_status(client_get(client, "pay.example", "/"), 200);
    expect_status(client_get(client, "a.test", "/"), 421);
    const char *newer = route_file(
        "new.json",
        "{ 'listen': { 'https': '127.0.0.1:0', 'status': '127.0.0.1:0', 'admin': "
        "'unix:@tmp/admin.sock' }, 'log': { 'format': 'json' }, 'certs': 'certs/site.pem',"
        "'routes': { 'a.test': { 'respond': {} }, 'pay.example': { 'respond': {} } } }");
    json_t *diff = diff_json(newer, 4);
    json_t *lost = find_change(diff, "removed", "certificate", "");
    cr_assert_not_null(strstr(json_string_value(json_member(lost, "was")), "certs/pay.pem"));
    cr_assert_str_eq(json_string_value(json_array_get(json_member(lost, "hosts"), 0)),
                     "pay.example");
    expect_number(diff, "requests.seen", 3);
    expect_number(diff, "requests.different", 3);
    expect_number(diff, "requests.certificates", 3);
    struct command *command = SALLYPORT("diff", newer, "-c", routes);
    command_says(command, "GET https://pay.example/ (2 times): respond 200 -> handshake refused "
                          "(unrecognized_name)");
    command_says(command, "3 of the 3 would get another certificate, or none");
    expect_number(json_array_get(json_member(diff, "requests.examples"), 0), "count", 2);
    gateway_stop(gateway);
}

/* Both sides are read from the files as they are: that one of them was renewed since the gateway
 * read it is told, too. */
Test(diff, certificate_files_that_changed_since)
{
    const char *routes = route_file(
        "routes.json", "{ @base, 'watch': 'off', 'routes': { '*': { 'respond': {} } } }");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});

    json_t *diff = diff_json(routes, 0);
    cr_assert_eq(json_array_size(json_member(diff, "changes")), 0);
    cert_write_bundle(
        cert_make(&(struct cert_options){.names = "*.test", .from_days = -1, .to_days = 1}),
        workplace_path("certs/site.pem"));
    cert_write_bundle(cert_new("more.test"), workplace_path("certs/more.pem"));
    diff = diff_json(routes, 4);
    cr_assert_eq(json_array_size(json_member(diff, "changes")), 2, "%s", dumped(diff));
    find_change(diff, "changed", "certificate", workplace_path("certs/site.pem"));
    find_change(diff, "added", "certificate", workplace_path("certs/more.pem"));
    command_says(SALLYPORT("diff", routes, "-c", routes),
                 text("+ certificate file %s: until ", workplace_path("certs/more.pem")));
    expect_status(ask_admin("POST", "/reload"), 200);
    diff_json(routes, 0);
    gateway_stop(gateway);
}

/* A pair that is gone is in neither side's files: the next load drops it. */
Test(diff, certificate_files_that_are_gone)
{
    const char *routes =
        route_file("routes.json", "{ @base, 'watch': 'off', 'routes': { 'a.test': { 'respond': "
                                  "{} }, 'pay.example': { 'respond': {} } } }");
    const char *pay = workplace_path("certs/pay.pem"), *spare = workplace_path("certs/spare.pem");
    cert_write_bundle(cert_new("pay.example"), pay);
    cert_write_bundle(cert_new("a.test"), spare);
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});

    diff_json(routes, 0);
    cr_assert_eq(unlink(pay), 0);
    cr_assert_eq(unlink(spare), 0);
    json_t *diff = diff_json(routes, 4);
    cr_assert_eq(json_array_size(json_member(diff, "changes")), 2, "%s", dumped(diff));
    json_t *hosts = json_member(find_change(diff, "removed", "certificate", pay), "hosts");
    cr_assert_eq(json_array_size(hosts), 1);
    cr_assert_str_eq(json_string_value(json_array_get(hosts, 0)), "pay.example");
    hosts = json_member(find_change(diff, "removed", "certificate", spare), "hosts");
    cr_assert_eq(json_array_size(hosts), 0, "another one covers it: %s", dumped(diff));
    struct command *command = SALLYPORT("diff", routes, "-c", routes);
    command_says(command, text("- certificate file %s: until ", pay));
    command_says(command, "; no other one answers for pay.example\n");
    expect_status(ask_admin("POST", "/reload"), 200);
    diff_json(routes, 0);
    gateway_stop(gateway);
}

/* A reload keeps what broke as it was read: nothing is left out, and changes of its routes count.
 */
Test(diff, certificate_files_that_broke_since)
{
    const char *routes =
        route_file("routes.json", "{ @base, 'watch': 'off', 'routes': { 'a.test': { 'respond': "
                                  "{} }, 'pay.example': { 'respond': {} } } }");
    const char *pay = workplace_path("certs/pay.pem");
    cert_write_bundle(cert_new("pay.example"), pay);
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});
    struct client *client = client_open(gateway, "pay.example");

    expect_status(client_get(client, "pay.example", "/"), 200);
    FILE *broken = fopen(pay, "w");
    cr_assert(broken != NULL && fputs("-----BEGIN CERTIFICATE-----\nhalf", broken) > 0);
    fclose(broken);
    const char *newer =
        route_file("new.json", "{ @base, 'watch': 'off', 'routes': { 'a.test': { 'respond': {} }, "
                               "'pay.example': { 'respond': { 'status': 404 } } } }");
    json_t *diff = diff_json(newer, 4);
    cr_assert_eq(json_array_size(json_member(diff, "changes")), 1, "%s", dumped(diff));
    expect_number(diff, "requests.different", 1);
    struct command *command = SALLYPORT("diff", newer, "-c", routes);
    command_says(command, "GET https://pay.example/: respond 200 -> respond 404\n");
    cr_assert_not_null(strstr(command->err, text("kept as the gateway serves it: %s", pay)), "%s",
                       command->err);
    cr_assert_null(strstr(command->err, "left out"));
    gateway_stop(gateway);
}

/* CSI as one character, U+009B: such a target is refused, and nothing of it comes to a terminal. */
Test(diff, paths_of_strangers_do_not_reach_a_terminal)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { 'a.test': { 'respond': {} } } }");
    struct client *client = client_open(gateway, "a.test");

    expect_status(client_get(client, "a.test",
                             "/\xc2\x9b"
                             "2J"),
                  400);
    expect_status(client_get(client_open(gateway, "a.test"), "a.test", "/%c2%9b2J"), 200);
    const char *newer = route_file(
        "new.json", "{ @base, 'routes': { 'a.test': { 'respond': { 'status': 404 } } } }");
    struct command *command = SALLYPORT("diff", newer, "-c", workplace_path("routes.json"));
    command_expect(command, 4);
    command_says(command, "GET https://a.test/%c2%9b2J");
    cr_expect_null(strchr(command->out, '\xc2'), "%s", command->out);
    gateway_stop(gateway);
}

/* --- what is remembered -------------------------------------------------------------------------
 */

static json_t *recent(void)
{
    struct message *response = ask_admin("GET", "/recent");

    expect_status(response, 200);
    return json_from(response->body);
}

Test(diff, recent_requests_are_remembered_without_queries)
{
    struct gateway *gateway = gateway_start("{ @base, 'routes': { '*': { 'respond': {} } } }");
    struct client *client = client_open(gateway, "a.test");

    expect_status(client_get(client, "b.test", "/%7ex//y?token=secret"), 200);
    expect_status(client_get(client, "b.test", "/~x/y?token=other"), 200);
    json_t *page = recent();
    expect_number(page, "requests", 2);
    json_t *list = json_member(page, "list");
    cr_assert_eq(json_array_size(list), 1);
    json_t *one = json_array_get(list, 0);
    expect_number(one, "count", 2);
    expect_string(one, "method", "GET");
    expect_string(one, "host", "b.test");
    expect_string(one, "path", "/~x/y");
    expect_string(one, "sni", "a.test");
    cr_assert_null(strstr(dumped(page), "secret"));
    /* Nobody but the admin socket tells. */
    const char *status = gateway_address(gateway, "status", 0);
    expect_status(ask_plain(status, "GET", "/recent"), 404);
    expect_status(ask_plain(status, "GET", "/config"), 404);
    expect_status(ask_admin("POST", "/recent"), 405);
    expect_status(ask_admin("POST", "/config"), 405);
    gateway_stop(gateway);
}

enum { LONG_PATHS = 3000 };

/* Two workers, paths as long as are kept and longer ones: no more than 10,000 requests, no more
 * bytes than are set aside, and the newest are there. */
Test(diff, what_is_remembered_is_bounded)
{
    const char *routes =
        route_file("routes.json", "{ @base, 'routes': { '*': { 'respond': {} } } }");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = routes, .workers = 2});
    struct client *clients[4];
    char path[1100];

    for (int i = 0; i < 4; i++)
        clients[i] = client_open(gateway, "a.test");
    memset(path, 'x', sizeof path);
    for (int i = 0; i < LONG_PATHS; i++) {
        snprintf(path, sizeof path, "/%06d", i);
        path[7] = 'x';
        path[i % 100 == 0 ? 1024 + 1 : 1024] = '\0';
        expect_status(client_get(clients[i % 4], "a.test", path), 200);
        path[1024] = path[1025] = 'x';
    }
    /* Too long to be kept whole by the harness: its beginning has the newest. */
    struct message *page = ask_admin("GET", "/recent");
    long requests = 0;
    long left_out = 0;
    expect_status(page, 200);
    cr_assert_eq(sscanf(page->body, "{\"requests\":%ld,\"left_out\":%ld", &requests, &left_out), 2);
    cr_assert_eq(left_out, LONG_PATHS / 100);
    cr_assert_geq(requests, 900);
    cr_assert_leq(requests * 1024, 2 * 1024 * 1024);
    cr_assert_not_null(strstr(page->body, text("/%06d", LONG_PATHS - 1)));
    gateway_stop(gateway);
}

Test(diff, no_more_than_ten_thousand)
{
    const char *routes = route_file(
        "routes.json", "{ 'listen': { 'https': '127.0.0.1:0', 'http': { 'bind': '127.0.0.1:0',"
                       "'serve': 'routes' }, 'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs',"
                       "'log': { 'access': 'off' }, 'routes': { '*': { 'respond': {} } } }");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){.routes = routes});
    struct client *client = client_open_plain(gateway_address(gateway, "http", 0));

    for (int i = 0; i < 10200; i++) {
        if (i == 200) /* a connection has its limit, too */
            client = client_open_plain(gateway_address(gateway, "http", 0));
        client_get(client, "a.test", i < 200 ? "/old" : "/new");
    }
    json_t *page = recent();
    expect_number(page, "requests", 10000);
    cr_assert_eq(json_array_size(json_member(page, "list")), 1);
    gateway_stop(gateway);
}

/* --- 200 hosts, before and after ----------------------------------------------------------------
 */

enum { HOSTS = 200, ORIGINS = 4, PATHS = 5 };

static const char *const request_paths[PATHS] = {"/", "/p1", "/p1/a", "/x", "/p2/y"};

struct world {
    struct origin *origins[ORIGINS];
    char *hosts[2][HOSTS]; /* what each side says of it; NULL: nothing */
    unsigned state;
};

static unsigned pick(struct world *world, unsigned below)
{
    world->state = world->state * 1103515245u + 12345u;
    return (world->state >> 16) % below;
}

static char *make_target(struct world *world, int host)
{
    switch (pick(world, 6)) {
    case 0: return text("{ 'redirect': 'https://r%u.test{uri}' }", pick(world, 3));
    case 1:
        return text("{ 'respond': { 'status': %u, 'body': 'own %d' } }", pick(world, 2) ? 200 : 404,
                    (int)pick(world, 2) + host);
    case 2: return text("'%s'", origin_address(world->origins[pick(world, ORIGINS)]));
    default: return text("'b%u'", pick(world, 3));
    }
}

static char *make_host(struct world *world, int host)
{
    static const char *const keys[] = {"/", "/p1", "/p1/", "=/x", "/p2/"};
    char *paths = text("%s", "");

    if (pick(world, 10) == 0)
        return NULL;
    if (pick(world, 2) == 0)
        return make_target(world, host);
    for (int i = 0; i < 5; i++)
        if (pick(world, 2) == 0)
            paths =
                text("%s%s'%s': %s", paths, *paths ? ", " : "", keys[i], make_target(world, host));
    return *paths ? text("{ 'paths': { %s } }", paths) : make_target(world, host);
}

static const char *write_side(struct world *world, int side, const char *name)
{
    char *routes = NULL;
    size_t length;
    FILE *out = open_memstream(&routes, &length);

    for (int i = 0; i < HOSTS; i++)
        if (world->hosts[side][i] != NULL)
            fprintf(out, "'h%d.test': %s,\n", i, world->hosts[side][i]);
    fclose(out);
    const char *path = route_file(
        name,
        "{ 'listen': { 'https': '127.0.0.1:0', 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' "
        "}, 'admin': 'unix:@tmp/admin.sock' }, 'certs': 'certs', 'backends': { 'b0': '%s', 'b1': "
        "'%s', 'b2': '%s' }, 'routes': { %s 'z.test': 'b0', '*.test': 'b1' } }",
        origin_address(world->origins[0]), origin_address(world->origins[1]),
        origin_address(world->origins[side == 0 ? 2 : 3]), routes);
    free(routes);
    return path;
}

/* Who answered, and how. */
static char *answer_of(struct client *client, const char *host, const char *path)
{
    struct message *response = client_get(client, host, path);
    const char *location = message_field(response, "Location");

    return text("%d %s %.*s", response->status, location != NULL ? location : "",
                (int)strcspn(response->body, "\n"), response->body);
}

/* Hosts below 20 over TLS, the rest over plain HTTP on one connection. */
static void ask_all(struct gateway *gateway, char *answers[HOSTS][PATHS])
{
    struct client *plain = client_open_plain(gateway_address(gateway, "http", 0));

    for (int i = 0; i < HOSTS; i++) {
        const char *host = text("h%d.test", i);
        struct client *client = i < 20 ? client_open(gateway, host) : plain;
        for (int k = 0; k < PATHS; k++)
            answers[i][k] = answer_of(client, host, request_paths[k]);
        if (i < 20)
            client_close(client);
    }
}

static bool is_told(json_t *diff, int host, int path)
{
    json_t *list = json_member(diff, "requests.examples");
    const char *request =
        text("GET %s://h%d.test%s", host < 20 ? "https" : "http", host, request_paths[path]);

    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "request")),
                   request) == 0)
            return true;
    return false;
}

/* Whether a host or path change is of this host. */
static bool is_changed(json_t *diff, int host)
{
    json_t *list = json_member(diff, "changes");
    const char *name = text("h%d.test", host);
    size_t length = strlen(name);

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *about = json_string_value(json_object_get(one, "about"));
        const char *its_name = json_string_value(json_object_get(one, "name"));
        if ((strcmp(about, "host") == 0 || strcmp(about, "path") == 0) &&
            strncmp(its_name, name, length) == 0 && strchr("/=", its_name[length]) != NULL)
            return true;
    }
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

Test(diff, says_of_200_hosts_what_a_reload_does)
{
    static char *before[HOSTS][PATHS], *after[HOSTS][PATHS];
    struct world world = {.state = 4711};
    int different = 0, changed = 0;

    for (int i = 0; i < ORIGINS; i++)
        world.origins[i] = origin_start(text("origin%d", i));
    for (int i = 0; i < HOSTS; i++) {
        world.hosts[0][i] = make_host(&world, i);
        world.hosts[1][i] = pick(&world, 3) == 0 ? make_host(&world, i) : world.hosts[0][i];
        changed += !same_text(world.hosts[0][i], world.hosts[1][i]);
    }
    const char *routes = write_side(&world, 0, "routes.json");
    const char *newer = write_side(&world, 1, "new.json");
    struct gateway *gateway =
        gateway_start_with(&(struct gateway_options){.routes = routes, .workers = 2});
    ask_all(gateway, before);
    json_t *diff = diff_json(newer, 4);
    expect_number(diff, "requests.seen", HOSTS * PATHS);
    write_side(&world, 1, "routes.json");
    expect_status(ask_admin("POST", "/reload"), 200);
    ask_all(gateway, after);
    for (int i = 0; i < HOSTS; i++) {
        for (int k = 0; k < PATHS; k++) {
            bool differs = strcmp(before[i][k], after[i][k]) != 0;
            different += differs;
            cr_expect_eq(is_told(diff, i, k), differs, "h%d.test%s: %s -> %s", i, request_paths[k],
                         before[i][k], after[i][k]);
        }
        cr_expect_eq(is_changed(diff, i), !same_text(world.hosts[0][i], world.hosts[1][i]),
                     "h%d.test: %s -> %s", i, world.hosts[0][i], world.hosts[1][i]);
    }
    expect_number(diff, "requests.different", different);
    find_change(diff, "added", "backend", "b2");
    cr_expect_gt(changed, HOSTS / 6);
    cr_expect_gt(different, HOSTS * PATHS / 10);
    cr_expect_lt(different, HOSTS * PATHS / 2);
    /* Nothing is left to change. */
    expect_number(diff_json(newer, 0), "requests.different", 0);
    gateway_stop(gateway);
}
