/* `sallyport check`: every mistake of a route file gets its own message, with its place and what
 * was meant. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(check);

struct mistake {
    const char *line;  /* of the route file */
    const char *path;  /* what the message must name */
    const char *words; /* and say; NULL for anything */
};

/* Whether some line of the output is `….json:LINE:COLUMN: …path…words…`. */
static bool is_reported(const char *output, int line, const char *path, const char *words)
{
    char *copy = text("%s", output);
    char *rest = NULL;
    const char *place = text(".json:%d:", line);

    for (char *said = strtok_r(copy, "\n", &rest); said; said = strtok_r(NULL, "\n", &rest)) {
        char *after = strstr(said, place);
        if (after == NULL)
            continue;
        after += strlen(place);
        size_t digits = strspn(after, "0123456789");
        if (digits == 0 || strncmp(after + digits, ": ", 2) != 0)
            continue;
        if (strstr(after, path) != NULL && (words == NULL || strstr(after, words) != NULL))
            return true;
    }
    return false;
}

/* Writes head, then a line a mistake, then tail; line numbers follow from the place in the table.
 */
static const char *write_mistakes(const char *head, const struct mistake *mistakes, int count,
                                  const char *tail)
{
    const char *source = head;

    for (int i = 0; i < count; i++)
        source = text("%s%s\n", source, mistakes[i].line);
    return route_file("routes.json", "%s%s", source, tail);
}

static void expect_mistakes(const struct command *command, const struct mistake *mistakes,
                            int count, int first_line)
{
    command_expect(command, 3);
    for (int i = 0; i < count; i++) {
        workplace_require(
            is_reported(command->out, first_line + i, mistakes[i].path, mistakes[i].words) ||
                is_reported(command->err, first_line + i, mistakes[i].path, mistakes[i].words),
            "line %d (%s): no message with %s and '%s' in\n%s%s", first_line + i, mistakes[i].line,
            mistakes[i].path, mistakes[i].words != NULL ? mistakes[i].words : "", command->out,
            command->err);
    }
}

static const struct mistake top_mistakes[] = {
    {"'drain_dely': '1s',", "drain_dely", "drain_delay"},
    {"'drain_timeout': true,", "drain_timeout", NULL},
    {"'log': { 'format': 'yaml' },", "log.format", "json"},
    {"'trusted_proxies': ['10.0.0.0/99'],", "trusted_proxies[0]", NULL},
    {"'defaults': { 'max_body': '10MB' },", "defaults.max_body", NULL},
    {"'tls': { 'min_version': '1.1' },", "tls.min_version", "1.2"},
    {"'user': 'no one here',", "user", "this machine has no user"},
    {"'routes': { 'a.test': 'https://x.test:1',", "routes[\"a.test\"]", "https"},
    {"'b.test': { 'to': 'x.test:1', 'timout': {} },", "routes[\"b.test\"].timout", "timeout"},
    {"'c.test:443': 'x.test:1',", "routes[\"c.test:443\"]", "port"},
    {"'d.test': 'nobody',", "routes[\"d.test\"]", "nobody"},
    {"'e.test': { 'to': 'x.test:1', 'redirect': 'https://y.test' },", "routes[\"e.test\"]", NULL},
    {"'f.test': '${E2E_NO_SUCH_VARIABLE}',", "routes[\"f.test\"]", "E2E_NO_SUCH_VARIABLE"},
    {"'g.test': { 'to': 'x.test:1', 'rate_limit': { 'rat': '5/s' } },",
     "routes[\"g.test\"].rate_limit.rat", "rate"},
    {"'h.test': { 'to': 'x.test:1', 'timeout': { 'connect': '3 seconds' } },",
     "routes[\"h.test\"].timeout.connect", NULL},
    {"'h.test': 'x.test:2',", "h.test", "duplicate"},
};
#define TOP_MISTAKES ((int)(sizeof top_mistakes / sizeof *top_mistakes))

static const char *ten_mistakes(void)
{
    return write_mistakes("{\n", top_mistakes, TOP_MISTAKES,
                          "'z.test': 'x.test:1' },\n'certs': 'certs' }\n");
}

Test(check, every_mistake_has_its_message)
{
    struct command *command = SALLYPORT("check", "-c", ten_mistakes());

    expect_mistakes(command, top_mistakes, TOP_MISTAKES, 2);
}

Test(check, every_mistake_in_json)
{
    struct command *command = SALLYPORT("check", "--json", "-c", ten_mistakes());

    command_expect(command, 3);
    json_t *report = json_from(command->out);
    json_t *errors = json_member(report, "errors");
    cr_assert(json_is_array(json_member(report, "warnings")));
    cr_assert_geq((int)json_array_size(errors), TOP_MISTAKES);
    bool has_suggestion = false;
    for (size_t i = 0; i < json_array_size(errors); i++) {
        json_t *error = json_array_get(errors, i);
        cr_assert_not_null(strstr(json_string_value(json_member(error, "file")), "routes.json"));
        cr_assert(json_is_integer(json_member(error, "line")));
        cr_assert_gt(json_integer_value(json_member(error, "column")), 0);
        cr_assert(json_is_string(json_member(error, "path")));
        cr_assert(json_is_string(json_member(error, "message")));
        const char *suggestion = json_string_value(json_object_get(error, "suggestion"));
        has_suggestion |= suggestion != NULL && strcmp(suggestion, "drain_delay") == 0;
    }
    cr_assert(has_suggestion, "no suggestion 'drain_delay' in %s", command->out);
}

Test(check, run_refuses_what_check_refuses)
{
    struct command *command = SALLYPORT("run", "-c", ten_mistakes());

    expect_mistakes(command, top_mistakes, TOP_MISTAKES, 2);
}

Test(check, mistakes_of_routes)
{
    static const struct mistake mistakes[] = {
        {"'A.test.': 'x.test:1', 'a.test': 'x.test:1',", "a.test", NULL},
        {"'b.*.test': 'x.test:1',", "routes[\"b.*.test\"]", NULL},
        {"'c\\u00e9.test': 'x.test:1',", "routes[\"c", "xn--"},
        {"'d.test': 'http://x.test:1/path',", "routes[\"d.test\"]", "path"},
        {"'e.test': 'http://me@x.test:1',", "routes[\"e.test\"]", NULL},
        {"'f.test': 'x.test:99999',", "routes[\"f.test\"]", "port"},
        {"'g.test': { 'paths': { '/a?b': 'x.test:1' } },", "routes[\"g.test\"].paths[\"/a?b\"]",
         NULL},
        {"'h.test': { 'paths': { 'a': 'x.test:1' } },", "routes[\"h.test\"].paths.a", NULL},
        {"'i.test': { 'paths': { '/a/../b': 'x.test:1' } },", "routes[\"i.test\"].paths", NULL},
        {"'j.test': { 'to': { 'x.test:1': 0 } },", "routes[\"j.test\"].to", NULL},
        {"'k.test': { 'to': { 'x.test:1': 65536 } },", "routes[\"k.test\"].to[\"x.test:1\"]",
         "65535"},
        {"'l.test': { 'redirect': { 'to': 'https://y.test', 'status': 200 } },",
         "routes[\"l.test\"].redirect.status", NULL},
        {"'m.test': { 'redirect': 'https://{hots}/' },", "routes[\"m.test\"].redirect", "hots"},
        {"'n.test': { 'respond': { 'status': 99 } },", "routes[\"n.test\"].respond.status", NULL},
        {"'o.test': {},", "routes[\"o.test\"]", NULL},
        {"'p.test': { 'to': 'x.test:1', 'servers': [] },", "routes[\"p.test\"].servers", NULL},
        {"'q.test': [],", "routes[\"q.test\"]", NULL},
        {"'r.test': { 'respond': { 'headers': { 'a b': 'c' } } },", "routes[\"r.test\"].respond",
         NULL},
    };
    int count = (int)(sizeof mistakes / sizeof *mistakes);
    struct command *command =
        SALLYPORT("check", "-c",
                  write_mistakes("{ 'certs': 'certs', 'routes': {\n", mistakes, count,
                                 "'z.test': 'x.test:1' } }\n"));

    expect_mistakes(command, mistakes, count, 2);
}

Test(check, mistakes_of_listeners_and_backends)
{
    static const struct mistake mistakes[] = {
        {"'listen': { 'https': 'localhost',", "listen.https", NULL},
        {"'http': { 'bind': ':0', 'serve': 'files' },", "listen.http.serve", "routes"},
        {"'admin': '127.0.0.1:1', ", "listen.admin", "unix:"},
        {"'status': { 'bind': '127.0.0.1:0', 'binds': 1 } },", "listen.status.binds", "bind"},
        {"'backends': { 'one': { 'servers': [] },", "backends.one.servers", NULL},
        {"'two': { 'servers': ['x.test:1'], 'keepalive': -1 },", "backends.two.keepalive", NULL},
        {"'three': { 'servers': [{ 'to': 'x.test:1', 'wieght': 2 }] },",
         "backends.three.servers[0].wieght", "weight"},
        {"'four': { 'server': ['x.test:1'] },", "backends.four.server", "servers"},
        {"'five': { 'servers': ['x.test:1'], 'health': { 'path': 'healthz' } },",
         "backends.five.health.path", NULL},
        {"'six': { 'servers': ['x.test:1'], 'balance': 'least_request' },", "backends.six.balance",
         "least_requests"},
        {"'seven': { 'servers': ['x.test:1'], 'eject': { 'max': 50 } },",
         "backends.seven.eject.max", "100%"},
        {"'eight': { 'servers': ['x.test:1'], 'hash_on': 'ip' } },", "backends.eight.hash_on",
         "no effect"},
        {"'tls': { 'unknown_sni': 'default' },", "tls.", "default_cert"},
        {"'defaults': { 'timeout': { 'header': -5 }, ", "defaults.timeout.header", NULL},
        {"'limits': { 'connections': -5, ", "defaults.limits.connections", NULL},
        {"'headers': 10.5 } },", "defaults.limits.headers", NULL},
    };
    int count = (int)(sizeof mistakes / sizeof *mistakes);
    struct command *command = SALLYPORT("check", "-c",
                                        write_mistakes("{ 'certs': 'certs',\n", mistakes, count,
                                                       "'routes': { 'z.test': 'x.test:1' } }\n"));

    expect_mistakes(command, mistakes, count, 2);
}

Test(check, settings_where_they_cannot_act)
{
    static const struct mistake mistakes[] = {
        {"'a.test': { 'respond': {}, 'max_body': '1KiB', 'timeout': { 'connect': '1s' } },",
         "routes[\"a.test\"].timeout", NULL},
        {"'b.test': { 'to': 'x.test:1', 'timeout': { 'handshake': '1s' } },",
         "routes[\"b.test\"].timeout.handshake", NULL},
        {"'c.test': { 'to': 'x.test:1', 'limits': { 'headers': 1 } },", "routes[\"c.test\"].limits",
         NULL},
        {"'d.test': { 'to': 'x.test:1', 'keepalive': 3 },", "routes[\"d.test\"].keepalive", NULL},
    };
    int count = (int)(sizeof mistakes / sizeof *mistakes);
    struct command *command =
        SALLYPORT("check", "-c",
                  write_mistakes("{ 'certs': 'certs', 'routes': {\n", mistakes, count,
                                 "'z.test': 'x.test:1' } }\n"));

    expect_mistakes(command, mistakes, count, 2);
}

Test(check, text_that_is_no_json)
{
    static const char *const sources[] = {
        "{\n'routes': { 'a.test' 'x.test:1' } }",
        "{\n'routes': { 'a.test': 'x.test:1', } }",
        "{\n// no\n}",
        "{\n'routes': {} } trailing",
        "{\n'routes': '\xff\xfe' }",
        "{\n'routes': {",
        "",
    };

    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct command *command =
            SALLYPORT("check", "-c", route_file("routes.json", "%s", sources[i]));
        command_expect(command, 3);
        command_says(command, i < 6 ? "routes.json:2:" : "routes.json:");
    }
}

Test(check, comments_and_schema_are_allowed)
{
    struct command *command = SALLYPORT(
        "check", "-c",
        route_file("routes.json", "{ '$schema': './routes.schema.json', '//': 'one', '//': 'two',"
                                  "  'certs': 'certs', 'routes': { '// a': 1, '// a': [],"
                                  "  'a.test': '127.0.0.1:1' } }"));

    command_expect(command, 0);
}

Test(check, good_file_in_json)
{
    struct command *command =
        SALLYPORT("check", "--json", "-c",
                  route_file("routes.json", "{ @base, 'routes': { 'a.test': '127.0.0.1:1' } }"));

    command_expect(command, 0);
    cr_assert_eq(json_array_size(json_member(json_from(command->out), "errors")), 0);
}

Test(check, environment_is_expanded_once)
{
    static const char *const source = "{ @base, 'routes': { 'a.test': { 'respond': { 'body':"
                                      "  '${E2E_VALUE}|$${E2E_VALUE}|$x|${E2E_EMPTY}|' } } } }";
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "%s", source),
        .environment = (const char *const[]){"E2E_VALUE=a${E2E_EMPTY}b", "E2E_EMPTY=", NULL}});

    expect_body(fetch(gateway, "a.test", "/"), "a${E2E_EMPTY}b|${E2E_VALUE}|$x||");
    gateway_stop(gateway);
}

Test(check, name_that_does_not_resolve_is_a_warning)
{
    struct dns_server *server = dns_server_start();
    dns_server_add_a(server, "here.test", 60, "127.0.0.1");
    dns_server_add_srv(server, "_http._tcp.here.test", 60, 0, 0, 1, "here.test");
    struct command *command = SALLYPORT(
        "check", "--json", "-c",
        route_file("routes.json",
                   "{ @base, 'dns': { 'servers': ['%s'] }, 'routes': { 'a.test': ['gone.test:1',"
                   " 'srv:_http._tcp.gone.test', 'here.test:1', 'srv:_http._tcp.here.test'] } }",
                   dns_server_address(server)));

    command_expect(command, 0);
    cr_expect_eq(json_array_size(json_member(json_from(command->out), "warnings")), 2, "%s",
                 command->out);
    cr_expect(strstr(command->out, "the name does not exist"), "%s", command->out);
    dns_server_stop(server);
}

Test(check, ten_thousand_names_at_a_server_that_is_silent_take_no_hour)
{
    enum { NAMES = 10000 };
    struct dns_server *server = dns_server_start();
    char *servers = malloc(NAMES * 24), *end = servers;
    dns_server_behave(server, DNS_ANY_TYPE, DNS_SILENT);
    for (int i = 0; i < NAMES; i++)
        end += sprintf(end, "%s'n%d.test:1'", i > 0 ? "," : "", i);
    struct command *command = SALLYPORT(
        "check", "--json", "-c",
        route_file("routes.json",
                   "{ @base, 'dns': { 'servers': ['%s'] }, 'routes': { 'a.test': [%s] } }",
                   dns_server_address(server), servers));

    command_expect(command, 0);
    cr_expect_eq(json_array_size(json_member(json_from(command->out), "warnings")), NAMES);
    free(servers);
    dns_server_stop(server);
}

Test(check, expired_certificate_is_a_warning)
{
    cert_write_bundle(
        cert_make(&(struct cert_options){.names = "old.test", .from_days = -20, .to_days = -10}),
        workplace_path("certs/old.pem"));
    struct command *command =
        SALLYPORT("check", "--json", "-c",
                  route_file("routes.json", "{ @base, 'routes': { 'a.test': '127.0.0.1:1' } }"));

    command_expect(command, 0);
    cr_assert_geq(json_array_size(json_member(json_from(command->out), "warnings")), 1);
}

Test(check, broken_certificate_is_exit_3)
{
    workplace_write(workplace_path("certs/broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n", 33);
    struct command *command =
        SALLYPORT("check", "-c",
                  route_file("routes.json", "{ @base, 'routes': { 'a.test': '127.0.0.1:1' } }"));

    command_expect(command, 3);
    command_says(command, "broken.pem");
}
