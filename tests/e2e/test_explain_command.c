/* The command `explain` and its endpoint: words for people, usage, a file and a running gateway. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(explain_command);

#define SMALL                                                                             \
    "{ @base, 'defaults': { 'timeout': { 'connect': '2s' } },"                            \
    "  'backends': { 'api': { 'servers': ['127.0.0.1:1', { 'to': '127.0.0.1:2',"          \
    "    'backup': true }], 'retry': { 'attempts': 3 } } },"                              \
    "  'routes': { 'a.test': { 'max_body': '1MiB', 'paths': { '/': 'api', '/v1/': 'api'," \
    "    '=/x': { 'respond': { 'body': 'x' } } } }, '*.b.test': 'api',"                   \
    "    'c.test': { 'redirect': 'https://a.test{uri}' } } }"

static void expect_words(const char *url, const char *const *words)
{
    const char *file = route_file("routes.json", SMALL);
    struct command *command = SALLYPORT("explain", "-c", file, url);

    command_expect(command, 0);
    for (; *words != NULL; words++)
        command_says(command, *words);
}

#define EXPECT_WORDS(url, ...) expect_words(url, (const char *const[]){__VA_ARGS__, NULL})

Test(explain_command, words_for_people)
{
    EXPECT_WORDS("https://a.test//v1", "matched, forwarded and logged as /v1",
                 "site.pem: the SNI a.test is exactly its name", "ECDSA P-256, until", "days left",
                 "a.test/\n", "not path /v1/: matches only what is below /v1/, not /v1 itself",
                 "127.0.0.1:2, weight 1, a backup", "2s        defaults.timeout.connect",
                 "1MiB      routes[\"a.test\"].max_body", "3         backends.api.retry.attempts",
                 "1h        built in");
    EXPECT_WORDS("https://z.test/", "the SNI z.test matches its wildcard *.test", "404 no_route",
                 "not host a.test: one character is not that of z.test");
    EXPECT_WORDS("https://b.test/", "404 no_route",
                 "not host *.b.test: matches names below b.test, not b.test itself");
    EXPECT_WORDS("https://x.b.test/", "refused with the alert unrecognized_name",
                 "not *.test: a certificate's wildcard stands for one label alone", "but for that");
    EXPECT_WORDS("https://c.test/y?z", "308, Location: https://a.test/y?z");
    EXPECT_WORDS("http://a.test/", "listen.http is off");
}

Test(explain_command, the_running_gateway_and_the_file)
{
    struct gateway *gateway = gateway_start(SMALL);
    const char *file = workplace_path("routes.json");
    const char *admin = text("unix:%s/admin.sock", workplace_folder());

    gateway_rewrite("{ @base, 'routes': { 'a.test': '127.0.0.1:7' } }");
    struct command *live = SALLYPORT("explain", "--live", "--admin", admin, "https://a.test/v1/");
    struct command *on_file = SALLYPORT("explain", "-c", file, "https://a.test/v1/");
    command_expect(live, 0);
    command_says(live, "generation  1\n");
    command_says(live, "route       a.test/v1/\n");
    command_expect(on_file, 0);
    command_says(on_file, "route       a.test\n");
    expect_status(ask_admin("POST", "/reload"), 200);
    live = SALLYPORT("explain", "--live", "-c", file, "https://a.test/v1/");
    command_says(live, "generation  2\n");
    cr_expect_not_null(strstr(live->out, on_file->out), "%s\n%s", live->out, on_file->out);
    gateway_stop(gateway);
    command_expect(SALLYPORT("explain", "--live", "--admin", admin, "https://a.test/"), 1);
}

#define STICKY(key)                                                           \
    "{ @base, 'backends': { 'api': { 'servers': ['127.0.0.1:1'], 'sticky': {" \
    "    'cookie': 'server', 'key': '" key "' } } }, 'routes': { 'a.test': 'api' } }"

static void expect_no_secret(const struct command *command)
{
    command_expect(command, 0);
    cr_expect_null(strstr(command->out, "a-secret-of"), "%s", command->out);
    cr_expect_null(strstr(command->err, "a-secret-of"), "%s", command->err);
}

Test(explain_command, key_of_sticky_cookies_is_told_nowhere)
{
    struct gateway *gateway = gateway_start(STICKY("a-secret-of-its-own"));
    const char *file = workplace_path("routes.json");

    gateway_rewrite(STICKY("a-secret-of-another"));
    struct command *reload = SALLYPORT("reload", "-c", file);
    expect_no_secret(reload);
    command_says(reload, "backend api, sticky.key: changed");
    struct command *live = SALLYPORT("explain", "--live", "-c", file, "https://a.test/");
    expect_no_secret(live);
    command_says(live, "sticky.key                written   backends.api.sticky.key");
    expect_no_secret(SALLYPORT("explain", "--json", "-c", file, "https://a.test/"));
    expect_no_secret(SALLYPORT("status", "--json", "-c", file));
    expect_no_secret(SALLYPORT("check", "--json", "-c", file));
    cr_expect_null(strstr(gateway_stderr(gateway), "a-secret-of"));
    gateway_stop(gateway);
}

Test(explain_command, what_a_terminal_would_obey_is_escaped)
{
    const char *file = route_file("routes.json", SMALL);
    struct command *command = SALLYPORT("explain", "-c", file, "https://a.test/\033[2J");

    command_expect(command, 0);
    command_says(command, "https://a.test/\\x1b[2J");
    cr_expect_null(strchr(command->out, '\033'));
}

/* As `reload --json` does. */
Test(explain_command, refusals_of_the_gateway_go_to_stdout_as_json)
{
    const char *admin = text("unix:%s/fake.sock", workplace_folder());
    struct origin *fake = origin_start_at("fake", admin);
    const char *reply =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 14\r\n\r\n{\"errors\":[]}\n";

    origin_set_last_reply(fake, NULL, reply);
    struct command *command =
        SALLYPORT("explain", "--live", "--json", "--admin", admin, "https://a.test/");
    command_expect(command, 1);
    cr_expect_eq(json_array_size(json_member(json_from(command->out), "errors")), 0);
    cr_expect_str_eq(command->err, "");
    command = SALLYPORT("explain", "--live", "--admin", admin, "https://a.test/");
    command_expect(command, 1);
    cr_expect_str_eq(command->out, "");
}

Test(explain_command, only_over_the_admin_socket)
{
    struct gateway *gateway = gateway_start(SMALL);
    const char *status = gateway_address(gateway, "status", 0);

    expect_status(ask_plain(status, "GET", "/explain?url=https://a.test/"), 404);
    expect_status(ask_admin("POST", "/explain?url=https://a.test/"), 405);
    expect_status(ask_admin("HEAD", "/explain?url=https://a.test/"), 200);
    expect_status(ask_admin("GET", "/explain"), 400);
    expect_status(ask_admin("GET", "/explain?url=ftp://a.test/"), 400);
    expect_status(ask_admin("GET", "/explain?url=https://a.test/&ip=here"), 400);
    struct message *response = ask_admin("GET", "/explain?url=https://a.test/&what=1");
    expect_status(response, 400);
    json_t *error = json_array_get(json_member(json_from(response->body), "errors"), 0);
    cr_expect_not_null(strstr(json_string_value(json_member(error, "message")), "what"));
    gateway_stop(gateway);
}

Test(explain_command, wrong_usage_and_wrong_files)
{
    const char *file = route_file("routes.json", SMALL);
    const char *bad = route_file("bad.json", "{ @base, 'routes': { 'a.test': 'nobody' } }");

    command_expect(SALLYPORT("explain", "-c", file), 2);
    command_expect(SALLYPORT("explain", "-c", file, "a.test"), 2);
    command_expect(SALLYPORT("explain", "-c", file, "https://a b/"), 2);
    command_expect(SALLYPORT("explain", "-c", file, "https://a.test/", "--ip", "x"), 2);
    command_expect(SALLYPORT("explain", "-c", file, "https://a.test/", "-H", "nothing"), 2);
    command_expect(SALLYPORT("explain", "-c", file, "http://a.test/", "--no-sni"), 2);
    struct command *command = SALLYPORT("explain", "https://a.test/", "--mehtod", "PUT");
    command_expect(command, 2);
    command_says(command, "did you mean --method?");
    command = SALLYPORT("explain", "-c", bad, "https://a.test/");
    command_expect(command, 3);
    command_says(command, "nobody");
    command_expect(SALLYPORT("explain", "-c", file, "https://nobody.example/"), 0);
}
