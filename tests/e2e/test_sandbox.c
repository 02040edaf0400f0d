/* What the running process has given up: every thread of it, and for good. Becoming another user
 * needs root; without it those tests are skipped. A gateway with a sanitizer has no filter. */
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

E2E_SUITE(sandbox);

#define BIND_SERVICE "0000000000000400"
#define NOTHING      "0000000000000000"
#define ROUTES       "'routes': { '*': { 'respond': { 'body': 'served' } } }"
#define AS_NOBODY    "{ @base, 'user': 'nobody', " ROUTES " }"

static void skip_unless_root(void)
{
    if (geteuid() != 0 || getpwnam("nobody") == NULL)
        cr_skip_test("only root can become another user");
}

static void skip_if_low_ports_are_free(void)
{
    const char *first = workplace_read("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if (first == NULL || atoi(first) <= 443)
        cr_skip_test("every port may be bound here");
}

/* The workplace is nobody's from here on. */
static void give_workplace_away(void)
{
    command_expect(COMMAND("chown", "-R", "nobody", workplace_folder()), 0);
}

/* An address of this test alone, with this port. */
static char *low_address(int port)
{
    char *address = workplace_free_address();
    return text("%.*s:%d", (int)(strrchr(address, ':') - address), address, port);
}

/* What stands behind `name` in a thread's status, without blanks at its ends. */
static const char *status_of(const char *status, const char *name)
{
    const char *line = strstr(status, text("\n%s:", name));
    workplace_require(line != NULL, "no %s in the status", name);
    line += strlen(name) + 2;
    line += strspn(line, " \t");
    size_t length = strcspn(line, "\n");
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    return text("%.*s", (int)length, line);
}

static int for_each_thread(struct gateway *gateway, void (*check)(const char *status, void *arg),
                           void *arg)
{
    const char *tasks = text("/proc/%d/task", gateway_pid(gateway));
    DIR *folder = opendir(tasks);
    int count = 0;

    workplace_require(folder != NULL, "no %s", tasks);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *status = entry->d_name[0] == '.'
                                 ? NULL
                                 : workplace_read(text("%s/%s/status", tasks, entry->d_name));
        if (status == NULL)
            continue; /* a helper that has ended meanwhile */
        check(status, arg);
        count++;
    }
    closedir(folder);
    return count;
}

struct expected {
    const char *kept; /* capabilities */
    const char *filter;
};

static void check_rights(const char *status, void *arg)
{
    const struct expected *expected = arg;
    cr_expect_str_eq(status_of(status, "NoNewPrivs"), "1");
    cr_expect_str_eq(status_of(status, "CapPrm"), expected->kept);
    cr_expect_str_eq(status_of(status, "CapEff"), expected->kept);
    cr_expect_str_eq(status_of(status, "CapInh"), NOTHING);
    cr_expect_str_eq(status_of(status, "CapAmb"), NOTHING);
    if (geteuid() == 0)
        cr_expect_str_eq(status_of(status, "CapBnd"), NOTHING);
    if (expected->filter != NULL)
        cr_expect_str_eq(status_of(status, "Seccomp"), expected->filter);
}

/* Five at least: control, log, files, names, a worker. */
static void expect_rights(struct gateway *gateway, const char *kept)
{
    struct expected expected = {kept, gateway_is_sanitized(gateway) ? NULL : "2"};
    cr_expect_geq(for_each_thread(gateway, check_rights, &expected), 5);
}

static void check_user(const char *status, void *arg)
{
    const struct passwd *nobody = getpwnam("nobody");
    const struct group *group = getgrgid(*(gid_t *)arg);
    unsigned uid = nobody->pw_uid, gid = group->gr_gid;
    cr_expect_str_eq(status_of(status, "Uid"), text("%u\t%u\t%u\t%u", uid, uid, uid, uid));
    cr_expect_str_eq(status_of(status, "Gid"), text("%u\t%u\t%u\t%u", gid, gid, gid, gid));
    cr_expect_str_eq(status_of(status, "Groups"), text("%u", gid));
}

static void expect_served(const char *address)
{
    struct client *client = client_open_with(address, &(struct client_options){.sni = "a.test"});
    expect_body(client_get(client, "a.test", "/"), "served");
}

Test(sandbox, every_thread_has_given_up_everything)
{
    struct gateway *gateway = gateway_start("{ @base, " ROUTES " }");

    expect_rights(gateway, NOTHING);
    if (!gateway_is_sanitized(gateway)) {
        const char *limits = workplace_read(text("/proc/%d/limits", gateway_pid(gateway)));
        cr_expect_not_null(strstr(limits, "Max core file size        0                    0 "));
        cr_expect_not_null(strstr(gateway_stderr(gateway), "system calls are filtered"));
    }
    expect_served(gateway_https(gateway));
    gateway_stop(gateway);
}

Test(sandbox, becomes_the_user_with_its_group_and_no_other)
{
    skip_unless_root();
    give_workplace_away();
    const struct group *daemon = getgrnam("daemon");
    gid_t gid = daemon->gr_gid;
    struct gateway *gateway =
        gateway_start("{ @base, 'user': 'nobody', 'group': 'daemon', " ROUTES " }");

    for_each_thread(gateway, check_user, &gid);
    expect_rights(gateway, NOTHING);
    if (!gateway_is_sanitized(gateway)) {
        struct stat process;
        cr_assert_eq(stat(text("/proc/%d/fd", gateway_pid(gateway)), &process), 0);
        cr_expect_eq(process.st_uid, 0, "others of the same user can trace it");
    }
    expect_served(gateway_https(gateway));
    gateway_stop(gateway);
}

Test(sandbox, low_ports_are_bound_and_bound_again_as_the_user)
{
    skip_unless_root();
    give_workplace_away();
    char *first = low_address(443), *second = low_address(444);
    struct gateway *gateway = gateway_start(
        "{ 'certs': 'certs', 'user': 'nobody', 'listen': { 'https': '%s', 'admin': 'off' }, " ROUTES
        " }",
        first);

    expect_rights(gateway, BIND_SERVICE);
    expect_served(first);
    gateway_rewrite("{ 'certs': 'certs', 'user': 'nobody',"
                    "  'listen': { 'https': ['%s', '%s'], 'admin': 'off' }, " ROUTES " }",
                    first, second);
    give_workplace_away();
    gateway_signal(gateway, SIGHUP);
    gateway_wait_stderr(gateway, "generation 2 is served", NULL);
    expect_served(second);
    gateway_stop(gateway);
}

Test(sandbox, later_low_port_refuses_the_load_with_the_remedy)
{
    skip_unless_root();
    skip_if_low_ports_are_free();
    give_workplace_away();
    struct gateway *gateway = gateway_start(AS_NOBODY);

    gateway_rewrite("{ @base, 'user': 'nobody', 'trusted_proxies': ['10.0.0.0/8'], " ROUTES " }");
    give_workplace_away();
    command_expect(SALLYPORT("reload", "-c", workplace_path("routes.json")), 0);
    gateway_rewrite("{ 'certs': 'certs', 'user': 'nobody',"
                    "  'listen': { 'https': '%s', 'admin': 'unix:@tmp/admin.sock' }, " ROUTES " }",
                    low_address(443));
    give_workplace_away();
    struct command *reload = SALLYPORT("reload", "-c", workplace_path("routes.json"));
    command_expect(reload, 1);
    command_says(reload, "given up at start");
    command_says(reload, "restart the gateway");
    expect_served(gateway_https(gateway));
    gateway_stop(gateway);
}

Test(sandbox, another_user_waits_for_a_restart)
{
    skip_unless_root();
    give_workplace_away();
    struct gateway *gateway = gateway_start(AS_NOBODY);
    gid_t gid = getpwnam("nobody")->pw_gid;

    gateway_rewrite("{ @base, 'user': 'daemon', " ROUTES " }");
    give_workplace_away();
    command_expect(SALLYPORT("reload", "-c", workplace_path("routes.json")), 0);
    gateway_wait_stderr(gateway, "takes effect at the next restart", NULL);
    for_each_thread(gateway, check_user, &gid);
    gateway_stop(gateway);
}

Test(sandbox, what_the_user_cannot_read_is_said_at_once)
{
    skip_unless_root();
    give_workplace_away();
    const char *routes = route_file("routes.json", AS_NOBODY);
    cr_assert_eq(chown(workplace_path("certs/site.pem"), 0, 0), 0);
    cr_assert_eq(chmod(workplace_path("certs/site.pem"), 0600), 0);

    struct command *run = SALLYPORT("run", "-c", routes);
    command_expect(run, 3);
    command_says(run, "as nobody");
    command_says(run, "ermission denied");
    struct command *check = SALLYPORT("check", "-c", routes);
    command_expect(check, 3);
    command_says(check, "ermission denied");
    command_says(check, "everything was read as uid");
}

Test(sandbox, log_that_cannot_be_opened_anew_is_an_event)
{
    skip_unless_root();
    const char *folder = workplace_make_folder("logs");
    give_workplace_away();
    struct gateway *gateway = gateway_start(
        "{ 'certs': 'certs', 'user': 'nobody', 'log': { 'access': 'logs/access.log' },"
        "  'listen': { 'https': '127.0.0.1:0', 'admin': 'off' }, " ROUTES " }");

    cr_assert_eq(rename(workplace_path("logs/access.log"), workplace_path("logs/access.log.1")), 0);
    cr_assert_eq(chown(folder, 0, 0), 0);
    cr_assert_eq(chmod(folder, 0755), 0);
    gateway_signal(gateway, SIGUSR1);
    gateway_wait_stderr(gateway, "cannot be opened anew", NULL);
    cr_assert_eq(chown(folder, getpwnam("nobody")->pw_uid, 0), 0);
    gateway_signal(gateway, SIGUSR1);
    gateway_wait_stderr(gateway, "was opened anew", NULL);
    expect_served(gateway_https(gateway));
    gateway_stop(gateway);
}

Test(sandbox, metrics_of_the_process_and_names_of_backends_need_no_rights)
{
    struct origin *origin = origin_start_at("named", "127.0.0.1:0");
    const char *port = strrchr(origin_address(origin), ':');
    if (geteuid() == 0)
        give_workplace_away();
    struct gateway *gateway = gateway_start("{ @base, %s 'routes': { '*': 'localhost%s' } }",
                                            geteuid() == 0 ? "'user': 'nobody'," : "", port);

    struct message *page = ask_plain(gateway_address(gateway, "status", 0), "GET", "/metrics");
    const char *body = page->body;
    cr_expect_not_null(strstr(body, "\nprocess_open_fds "));
    cr_expect_not_null(strstr(body, "\nprocess_max_fds "));
    cr_expect_not_null(strstr(body, "\nprocess_resident_memory_bytes "));
    cr_expect_not_null(strstr(body, "\nprocess_cpu_seconds_total "));
    expect_from(fetch(gateway, "a.test", "/x"), "named");
    gateway_stop(gateway);
}
