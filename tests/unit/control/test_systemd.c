/* What a service manager is told, on a socket of the test's own. */
#include "control/systemd.h"

#include "base/clock.h"
#include "control/generations.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 4096, DRAIN_MS = 90 * 1000 };

static struct loop *loop;
static struct systemd *systemd;
static int manager;
static char folder[32], path[64];

static void listen_at(const char *name, size_t length)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, length);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(manager, (struct sockaddr *)&at,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                 0);
}

static void begin(void)
{
    strcpy(folder, "/tmp/systemd-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/notify", folder);
    listen_at(path, strlen(path));
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    setenv("NOTIFY_SOCKET", path, 1);
    loop = loop_new();
}

static void end(void)
{
    systemd_free(systemd);
    loop_free(loop);
    close(manager);
    unlink(path);
    rmdir(folder);
    buffer_cache_clear();
}

TestSuite(systemd_messages, .init = begin, .fini = end, .timeout = 240);

/* The next message; empty: there is none. */
static const char *heard(void)
{
    static char message[MESSAGE_SIZE];
    ssize_t length = recv(manager, message, sizeof(message) - 1, 0);
    message[length > 0 ? length : 0] = '\0';
    return message;
}

static void say_started(void)
{
    systemd_started(systemd, &(struct load_outcome){.generation = 1, .result = LOAD_PUBLISHED});
    cr_assert_str_eq(heard(), "READY=1\nSTATUS=generation 1 is served\n");
}

static void start(void)
{
    systemd = systemd_new(loop);
    cr_assert_not_null(systemd);
    say_started();
}

static void loaded(enum load_result result, size_t broken, const char *refusal)
{
    systemd_loaded(
        systemd,
        &(struct load_outcome){.generation = 7, .result = result, .broken = {.count = broken}},
        refusal);
}

static const char *after_a_load(enum load_result result, size_t broken, const char *refusal)
{
    systemd_loading(systemd);
    cr_assert_not_null(strstr(heard(), "RELOADING=1\n"));
    loaded(result, broken, refusal);
    return heard();
}

Test(systemd_messages, what_came_of_a_load)
{
    start();
    cr_expect_str_eq(after_a_load(LOAD_PUBLISHED, 0, ""),
                     "READY=1\nSTATUS=generation 7 is served\n");
    cr_expect_str_eq(after_a_load(LOAD_PUBLISHED, 2, ""),
                     "READY=1\nSTATUS=generation 7 is served; 2 certificates quarantined\n");
    cr_expect_str_eq(
        after_a_load(LOAD_UNCHANGED, 1, ""),
        "READY=1\nSTATUS=generation 7 goes on, nothing had changed; 1 certificate quarantined\n");
    cr_expect_str_eq(after_a_load(LOAD_INVALID, 1, "routes.json:1:2: no"),
                     "READY=1\nSTATUS=reload refused, generation 7 goes on: routes.json:1:2: no\n");
    cr_expect_str_eq(after_a_load(LOAD_FAILED, 0, "taken"),
                     "READY=1\nSTATUS=reload refused, generation 7 goes on: taken\n");
    cr_expect_str_eq(heard(), "");
}

Test(systemd_messages, the_time_of_a_reload)
{
    start();
    unsigned long long before = clock_monotonic_us(), said = 0;
    systemd_loading(systemd);
    unsigned long long after = clock_monotonic_us();
    cr_assert_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &said), 1);
    cr_expect(before <= said && said <= after, "%llu %llu %llu", before, said, after);
}

Test(systemd_messages, a_status_is_one_line_of_utf8)
{
    start();
    cr_expect_str_eq(after_a_load(LOAD_INVALID, 0, "a\nREADY=0\tb \xc3\xa4 \xff\xc3"),
                     "READY=1\nSTATUS=reload refused, generation 7 goes on: "
                     "a READY=0 b \xc3\xa4 ??\n");
    char longer[3000];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    const char *cut = after_a_load(LOAD_INVALID, 0, longer);
    cr_expect_lt(strlen(cut), 1000);
    cr_expect_str_eq(cut + strlen(cut) - 2, "x\n");
}

Test(systemd_messages, loads_before_the_start_are_nobodys_business)
{
    systemd = systemd_new(loop);
    systemd_loading(systemd);
    loaded(LOAD_PUBLISHED, 0, "");
    cr_expect_str_eq(heard(), "");
    say_started();
}

/* One that began before the start was told of, and ended after. */
Test(systemd_messages, a_load_that_the_manager_did_not_see_begin_is_status_alone)
{
    start();
    loaded(LOAD_PUBLISHED, 0, "");
    cr_expect_str_eq(heard(), "STATUS=generation 7 is served\n");
}

Test(systemd_messages, draining)
{
    start();
    systemd_draining(systemd, "first", DRAIN_MS);
    cr_expect_str_eq(heard(), "STOPPING=1\nSTATUS=draining: first; ends within 90 s\n"
                              "EXTEND_TIMEOUT_USEC=15000000\n");
    systemd_draining(systemd, "then", 0);
    cr_expect_str_eq(heard(), "STATUS=draining: then\n");
    systemd_loading(systemd);
    loaded(LOAD_TOO_LATE, 0, "");
    cr_expect_str_eq(heard(), "", "a load changes nothing of that");
}

Test(systemd_messages, a_drain_in_the_middle_of_a_load)
{
    start();
    systemd_loading(systemd);
    heard();
    systemd_draining(systemd, "now", 0);
    cr_expect_str_eq(heard(), "STOPPING=1\nSTATUS=draining: now\n");
    loaded(LOAD_PUBLISHED, 0, "");
    cr_expect_str_eq(heard(), "");
}

/* --- a socket that is full -----------------------------------------------------------------------
 */

static void fill(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    while (sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)) == 1)
        continue;
    cr_assert_eq(errno, EAGAIN);
    close(fd);
}

/* The filling, gone. */
static void empty(void)
{
    while (strcmp(heard(), "x") == 0)
        continue;
}

static struct task stop_task;
static struct deadline stop_deadline;

static void stop(void *owner)
{
    loop_stop(owner);
}

/* The next message, for which the loop turns. */
static const char *heard_in_time(void)
{
    const char *message;
    task_init(&stop_task, stop, loop);
    deadline_init(&stop_deadline, &stop_task);
    while (strcmp(message = heard(), "") == 0) {
        deadline_set(loop, &stop_deadline, 10);
        loop_run(loop);
    }
    deadline_clear(&stop_deadline);
    return message;
}

Test(systemd_messages, what_a_full_socket_does_not_take_is_said_later)
{
    start();
    fill();
    systemd_loading(systemd);
    loaded(LOAD_PUBLISHED, 0, "");
    empty();
    cr_expect_not_null(strstr(heard_in_time(), "RELOADING=1\n"));
    cr_expect_str_eq(heard_in_time(), "READY=1\nSTATUS=generation 7 is served\n");
}

Test(systemd_messages, what_is_said_later_is_as_it_is_then)
{
    start();
    fill();
    systemd_loading(systemd);
    loaded(LOAD_INVALID, 0, "no");
    systemd_loading(systemd);
    empty();
    cr_expect_not_null(strstr(heard_in_time(), "RELOADING=1\n"));
    cr_expect_str_eq(heard(), "", "the second load goes on");
    loaded(LOAD_PUBLISHED, 0, "");
    cr_expect_str_eq(heard(), "READY=1\nSTATUS=generation 7 is served\n");

    fill();
    systemd_loading(systemd);
    systemd_draining(systemd, "first", 0);
    systemd_draining(systemd, "then", 0);
    empty();
    cr_expect_str_eq(heard_in_time(), "STOPPING=1\nSTATUS=draining: then\n");
    cr_expect_str_eq(heard_in_time(), "STATUS=draining: then\n");
}

/* --- the environment -----------------------------------------------------------------------------
 */

static void expect_nobody(const char *where)
{
    setenv("NOTIFY_SOCKET", where, 1);
    cr_expect_null(systemd_new(loop), "%s", where);
    cr_expect_null(getenv("NOTIFY_SOCKET"));
}

Test(systemd_messages, without_a_manager_nothing_is_said)
{
    char longer[200];
    memset(longer, '/', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    expect_nobody("");
    expect_nobody("@");
    expect_nobody("relative/path");
    expect_nobody("vsock:2:1234");
    expect_nobody(longer);
    unsetenv("NOTIFY_SOCKET");
    cr_expect_null(systemd_new(loop));
    systemd_started(NULL, NULL);
    systemd_loading(NULL);
    systemd_loaded(NULL, NULL, NULL);
    systemd_draining(NULL, "", 1);
    systemd_free(NULL);
}

Test(systemd_messages, no_child_inherits_the_variables)
{
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    start();
    cr_expect_null(getenv("NOTIFY_SOCKET"));
    cr_expect_null(getenv("WATCHDOG_USEC"));
    cr_expect_null(getenv("WATCHDOG_PID"));
}

Test(systemd_messages, a_name_in_the_abstract_namespace)
{
    char name[64];
    snprintf(name, sizeof(name), "@sallyport-unit-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    close(manager);
    size_t length = strlen(name);
    name[0] = '\0';
    listen_at(name, length);
    start();
}

/* --- the watchdog --------------------------------------------------------------------------------
 */

Test(systemd_messages, signs_of_life)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "20000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    start();
    cr_expect_str_eq(heard_in_time(), "WATCHDOG=1\n");
    cr_expect_str_eq(heard_in_time(), "WATCHDOG=1\n");
}

static void expect_no_sign(const char *period, const char *whose)
{
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", period, 1);
    if (whose != NULL)
        setenv("WATCHDOG_PID", whose, 1);
    start();
    task_init(&stop_task, stop, loop);
    deadline_init(&stop_deadline, &stop_task);
    deadline_set(loop, &stop_deadline, 50);
    loop_run(loop);
    deadline_clear(&stop_deadline);
    cr_expect_str_eq(heard(), "", "%s", period);
    systemd_free(systemd);
    systemd = NULL;
}

Test(systemd_messages, signs_that_nobody_waits_for)
{
    expect_no_sign("20000", "1");
    expect_no_sign("20000", "me");
    expect_no_sign("0", NULL);
    expect_no_sign("soon", NULL);
}
