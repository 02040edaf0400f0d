/* Files that policies take something from: swapped while they are used, kept while they are broken,
 * whatever stands in the route file by then. */
#include "harness/await.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(sources);

/* "secret", "other". */
#define SECRET "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define OTHER  "$2b$04$abcdefghijklmnopqrstuu0HtfOlPbTiymk5tcV.3TsFPDd3SYZqu"

#define ALICE_SECRET "Basic YWxpY2U6c2VjcmV0"
#define ALICE_OTHER  "Basic YWxpY2U6b3RoZXI="
#define BOB_SECRET   "Basic Ym9iOnNlY3JldA=="

#define ROUTES                                                                               \
    "{ @base, %s 'routes': { 'a.test': { 'respond': { 'body': '%s' }, 'auth': { 'basic': { " \
    "'users': '%s' } } } } }"

static void write_file(const char *name, const char *text)
{
    workplace_write(workplace_path("%s", name), text, strlen(text));
}

static struct gateway *start(const char *more, const char *users)
{
    return gateway_start(ROUTES, more, "one", users);
}

static int status_as(struct gateway *gateway, const char *credentials)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: %s\r\n\r\n", credentials);
    int status = client_response(client)->status;
    client_close(client);
    return status;
}

/* Every answer on the way is one of the two. */
static void await_status(struct gateway *gateway, const char *credentials, int before, int after)
{
    long long start_ms = monitor_now_ms();

    for (int status; (status = status_as(gateway, credentials)) != after;) {
        workplace_require(status == before, "neither %d nor %d but %d", before, after, status);
        workplace_require(monitor_may_ask_again(start_ms), "%d does not come", after);
    }
}

static void expect_as(struct gateway *gateway, const char *credentials, int expected)
{
    int status = status_as(gateway, credentials);

    workplace_require(status == expected, "%s: %d, not %d", credentials, status, expected);
}

static json_t *reload(int status)
{
    struct message *response = ask_admin("POST", "/reload?changes");

    expect_status(response, status);
    return json_from(response->body);
}

static void expect_reload(bool is_unchanged)
{
    json_t *unchanged = json_member(reload(200), "unchanged");

    cr_assert_eq(json_is_true(unchanged), is_unchanged);
}

/* --- swaps -------------------------------------------------------------------------------------
 */

Test(sources, a_changed_file_is_taken_by_itself)
{
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = start("", "users");

    expect_as(gateway, ALICE_SECRET, 200);
    expect_as(gateway, BOB_SECRET, 401);
    write_file("users", "alice:" OTHER "\nbob:" SECRET "\n");
    await_status(gateway, BOB_SECRET, 401, 200);
    /* What was verified a moment ago was for another hash. */
    expect_as(gateway, ALICE_SECRET, 401);
    expect_as(gateway, ALICE_OTHER, 200);
    write_file("users", "alice:" OTHER "\n");
    await_status(gateway, BOB_SECRET, 200, 401);
    gateway_stop(gateway);
}

Test(sources, a_link_that_leads_elsewhere)
{
    workplace_make_folder("box/..one");
    workplace_make_folder("box/..two");
    write_file("box/..one/users", "alice:" SECRET "\n");
    write_file("box/..two/users", "bob:" SECRET "\n");
    cr_assert_eq(symlink("..one", workplace_path("box/..data")), 0);
    cr_assert_eq(symlink("..data/users", workplace_path("box/users")), 0);
    struct gateway *gateway = start("", "box/users");

    expect_as(gateway, ALICE_SECRET, 200);
    cr_assert_eq(symlink("..two", workplace_path("box/..new")), 0);
    cr_assert_eq(rename(workplace_path("box/..new"), workplace_path("box/..data")), 0);
    await_status(gateway, BOB_SECRET, 401, 200);
    expect_as(gateway, ALICE_SECRET, 401);
    gateway_stop(gateway);
}

/* With the line that is wrong, or without one, as it is about the whole. */
Test(sources, a_file_that_nothing_can_be_used_of_is_no_fine_one)
{
    static const char *const contents[][2] = {
        {"alice:" SECRET "\n", ":1: error: "},
        {"[]\n", ":1: error: this is no set of keys"},
        {"{ \"keys\": [\n{ \"kty\": \"oct\" } ] }\n", ":1: error: there is no key"},
    };
    const char *routes =
        route_file("routes.json", "{ @base, 'routes': { 'a.test': { 'respond': { 'body': 'one' },"
                                  "  'auth': { 'jwt': { 'keys': 'keys.json' } } } } }");

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        const char *keys = workplace_path("keys.json");
        write_file("keys.json", contents[i][0]);
        struct command *command = SALLYPORT("check", "-c", routes);
        command_expect(command, 3);
        cr_expect(strstr(command->out, text("%s%s", keys, contents[i][1])), "%s", command->out);
        cr_expect(strstr(command->out, "until then requests"), "%s", command->out);
    }
}

Test(sources, reload_says_what_has_changed)
{
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = start("'watch': 'off',", "users");

    expect_reload(true);
    write_file("users", "alice:" SECRET "\nbob:" SECRET "\nnonsense\n");
    expect_as(gateway, BOB_SECRET, 401);
    json_t *answer = reload(200);
    json_t *change = json_array_get(json_member(answer, "changes"), 0);
    expect_string(change, "about", "file");
    expect_string(change, "name", workplace_path("users"));
    expect_string(change, "was", "1 user");
    expect_string(change, "is", "2 users");
    gateway_wait_stderr(gateway, text("%s:3: there is no", workplace_path("users")), NULL);
    expect_as(gateway, BOB_SECRET, 200);
    expect_reload(true);
    gateway_stop(gateway);
}

/* A route file that is wrong by now is in nobody's way, nor is it taken. */
Test(sources, the_route_file_is_left_alone)
{
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = start("", "users");

    gateway_rewrite(ROUTES, "", "two", "others");
    write_file("users", "bob:" SECRET "\n");
    await_status(gateway, BOB_SECRET, 401, 200);
    gateway_rewrite("{ nonsense");
    write_file("users", "alice:" SECRET "\n");
    await_status(gateway, ALICE_SECRET, 401, 200);
    gateway_stop(gateway);
}

Test(sources, a_refused_load_changes_none_of_it)
{
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = start("'watch': 'off',", "users");

    write_file("users", "bob:" SECRET "\n");
    gateway_rewrite("{ nonsense");
    reload(422);
    expect_as(gateway, ALICE_SECRET, 200);
    expect_as(gateway, BOB_SECRET, 401);
    gateway_rewrite(ROUTES, "'watch': 'off',", "two", "users");
    expect_reload(false);
    expect_as(gateway, ALICE_SECRET, 401);
    expect_as(gateway, BOB_SECRET, 200);
    gateway_stop(gateway);
}

/* --- broken files ------------------------------------------------------------------------------
 */

Test(sources, what_breaks_is_kept_out)
{
    size_t position = 0;
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = start("", "users");

    write_file("users", "nonsense\n");
    gateway_wait_stderr(gateway, "source_broken", &position);
    expect_as(gateway, ALICE_SECRET, 200);
    expect_reload(true);
    expect_as(gateway, ALICE_SECRET, 200);
    unlink(workplace_path("users"));
    expect_reload(true);
    expect_as(gateway, ALICE_SECRET, 200);
    write_file("users", "bob:" SECRET "\n");
    gateway_wait_stderr(gateway, "source_mended", &position);
    await_status(gateway, BOB_SECRET, 401, 200);
    cr_assert_eq(count_words(gateway, "source_broken"), 1);
    gateway_stop(gateway);
}

static void expect_unavailable(struct gateway *gateway, const char *credentials)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: %s\r\n\r\n", credentials);
    expect_refusal(client_response(client), 503, "auth_unavailable");
    client_close(client);
}

/* A pipe would have who opens it wait for its writer. */
Test(sources, nothing_at_the_start)
{
    static const char *const kinds[] = {"missing", "empty", "pipe", "folder"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *path = workplace_path("%s", kinds[i]);
        if (strcmp(kinds[i], "empty") == 0)
            write_file(kinds[i], "# nobody yet\n");
        if (strcmp(kinds[i], "pipe") == 0)
            cr_assert_eq(mkfifo(path, 0600), 0);
        if (strcmp(kinds[i], "folder") == 0)
            workplace_make_folder(kinds[i]);
        struct gateway *gateway = start("", kinds[i]);
        expect_unavailable(gateway, ALICE_SECRET);
        expect_unavailable(gateway, "Basic nonsense");
        expect_string(log_entry(gateway, 0), "reason", "auth_unavailable");
        struct command *command = SALLYPORT("check", "-c", workplace_path("routes.json"));
        command_expect(command, 3);
        command_says(command, text("%s: error: ", path));
        if (strcmp(kinds[i], "folder") == 0)
            cr_assert_eq(rmdir(path), 0);
        write_file(kinds[i], "alice:" SECRET "\n");
        await_status(gateway, ALICE_SECRET, 503, 200);
        command_expect(SALLYPORT("check", "-c", workplace_path("routes.json")), 0);
        gateway_stop(gateway);
    }
}

/* --- under load --------------------------------------------------------------------------------
 */

struct visitor {
    struct gateway *gateway;
    atomic_bool *is_over;
    atomic_int *answers;
    pthread_t thread;
};

static void *visit(void *argument)
{
    struct visitor *visitor = argument;
    struct client *client =
        client_make(gateway_https(visitor->gateway), &(struct client_options){.sni = "a.test"});

    while (client != NULL && !atomic_load(visitor->is_over)) {
        client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: %s\r\n\r\n",
                    ALICE_SECRET);
        struct message *response = client_response(client);
        if (response->status != 200)
            workplace_note("alice is refused with %d", response->status);
        atomic_fetch_add(visitor->answers, 1);
    }
    if (client != NULL)
        client_free(client);
    return NULL;
}

/* In each version of the file there is alice; what lies in between is never seen. */
Test(sources, renames_under_load)
{
    enum { VISITORS = 4, SWAPS = 15 };
    struct visitor visitors[VISITORS];
    atomic_bool is_over = false;
    atomic_int answers = 0;
    write_file("users", "alice:" SECRET "\n");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .workers = 2, .routes = route_file("routes.json", ROUTES, "", "one", "users")});

    for (int i = 0; i < VISITORS; i++) {
        visitors[i] = (struct visitor){gateway, &is_over, &answers, 0};
        cr_assert_eq(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (int i = 0; i < SWAPS; i++) {
        write_file("users", i % 3 == 2   ? "nonsense\n"
                            : i % 3 == 1 ? "# longer than the other\nbob:" SECRET "\nalice:" SECRET
                                           "\n"
                                         : "alice:" SECRET "\ncarol:" OTHER "\n");
        if (i % 2 == 0)
            cr_assert_eq(ask_admin("POST", "/reload")->status, 200);
        int before = atomic_load(&answers);
        long long start_ms = monitor_now_ms();
        while (atomic_load(&answers) < before + VISITORS)
            workplace_require(monitor_may_ask_again(start_ms), "the visitors stand still");
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < VISITORS; i++)
        pthread_join(visitors[i].thread, NULL);
    gateway_stop(gateway);
}
