/* Sockets that are handed over. They lie at descriptors that a test program needs itself, so those
 * tests go on in a process of their own. */
#include "control/inherited.h"

#include "base/log.h"
#include "support/loopback.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 3, ASIDE = 100, SOCKETS_MAX = 8, EVENTS_FD = 99 };

static void set_environment(const char *fds, const char *pid, const char *names)
{
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_PID", pid, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

static void expect_nothing(const char *fds, const char *pid)
{
    set_environment(fds, pid, "name");
    cr_expect_null(inherited_new(), "%s for %s", fds, pid);
    cr_expect_null(getenv("LISTEN_FDS"));
    cr_expect_null(getenv("LISTEN_PID"));
    cr_expect_null(getenv("LISTEN_FDNAMES"));
}

Test(inherited, nothing_for_this_process)
{
    char pid[16], other[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    snprintf(other, sizeof(other), "%d", (int)getppid());
    expect_nothing("1", other);
    expect_nothing("1", "");
    expect_nothing("1", "-1");
    expect_nothing("", pid);
    expect_nothing("0", pid);
    expect_nothing("-1", pid);
    expect_nothing("x", pid);
    expect_nothing("99999999999", pid);
    setenv("LISTEN_FDS", "1", 1);
    cr_expect_null(inherited_new(), "nobody says for whom");
    cr_expect_null(inherited_new());
    inherited_free(NULL);
    inherited_use(NULL);
    inherited_release(NULL);
    inherited_warn_unused(NULL);
    cr_expect_null(inherited_find(NULL, &(struct address){0}));
}

/* --- in a process of its own ---------------------------------------------------------------------
 */

#define CHECK(fact) ((fact) ? (void)0 : give_up(#fact, __LINE__))

static void give_up(const char *fact, int line)
{
    printf("line %d: %s\n", line, fact);
    fflush(stdout);
    _exit(1);
}

/* Moves the sockets to where they are looked for; stderr becomes a file. */
static void hand_over(const int *fds, int count, const char *names)
{
    char number[16], pid[16], file[] = "/tmp/inherited-XXXXXX";
    int aside[SOCKETS_MAX], events = mkstemp(file);
    unlink(file);
    dup2(events, EVENTS_FD);
    dup2(events, STDERR_FILENO);
    for (int i = 0; i < count; i++)
        aside[i] = fcntl(fds[i], F_DUPFD, ASIDE);
    for (int i = 0; i < count; i++)
        dup2(aside[i], FIRST + i);
    snprintf(number, sizeof(number), "%d", count);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    set_environment(number, pid, names);
}

static int count_said(const char *words)
{
    static char text[64 * 1024];
    ssize_t length = pread(EVENTS_FD, text, sizeof(text) - 1, 0);
    int count = 0;
    text[length > 0 ? length : 0] = '\0';
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void expect_fine(void (*run)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        run();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void use_two(void)
{
    struct address first, second, third;
    int fds[] = {loopback_listen(&first), loopback_listen(&second)};
    close(loopback_listen(&third));
    hand_over(fds, 2, "web:");
    struct inherited *inherited = inherited_new();
    CHECK(inherited != NULL);
    struct inherited_socket *one = inherited_find(inherited, &first);
    struct inherited_socket *two = inherited_find(inherited, &second);
    CHECK(one != NULL && two != NULL && one != two);
    CHECK(inherited_find(inherited, &third) == NULL);
    CHECK(!inherited_covers(one, &second));
    for (int fd = FIRST; fd < FIRST + 2; fd++) {
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
    struct error error;
    int fd = inherited_duplicate(two, &error);
    CHECK(fd >= 0 && fd != FIRST + 1);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct address local = {.length = sizeof(local.as)};
    getsockname(fd, &local.as.any, &local.length);
    CHECK(address_equal(&local, &second));
    CHECK(count_said("(web)") == 1 && count_said("(unknown)") == 1);
    inherited_free(inherited);
    CHECK(fcntl(FIRST, F_GETFD) < 0);
}

Test(inherited, found_by_their_addresses)
{
    expect_fine(use_two);
}

static void leave_one(void)
{
    struct address first, second;
    int fds[] = {loopback_listen(&first), loopback_listen(&second)};
    hand_over(fds, 2, "web:spare");
    struct inherited *inherited = inherited_new();
    struct inherited_socket *spare = inherited_find(inherited, &second);
    inherited_use(inherited_find(inherited, &first));
    inherited_warn_unused(inherited);
    inherited_warn_unused(inherited);
    CHECK(count_said("socket_unused") == 1);
    inherited_use(spare);
    inherited_use(spare);
    inherited_release(spare);
    inherited_warn_unused(inherited);
    CHECK(count_said("socket_unused") == 1);
    inherited_release(spare);
    inherited_warn_unused(inherited);
    CHECK(count_said("socket_unused") == 2);
    inherited_free(inherited);
}

Test(inherited, one_that_nobody_wants_is_told_of_once)
{
    expect_fine(leave_one);
}

static void explain(void)
{
    struct address held, wanted;
    int fds[] = {loopback_listen(&held)};
    hand_over(fds, 1, NULL);
    struct inherited *inherited = inherited_new();
    struct error error = {"cannot listen"};
    char text[ADDRESS_TEXT_SIZE];
    CHECK(address_parse_ip(slice_of("127.0.0.2"), address_port(&held), &wanted));
    inherited_explain(inherited, &wanted, &error);
    address_format(&held, text);
    CHECK(strncmp(error.message, text, strlen(text)) == 0);
    CHECK(strstr(error.message, ": cannot listen") != NULL);
    address_set_port(&wanted, (uint16_t)(address_port(&held) ^ 1));
    error = (struct error){"as it was"};
    inherited_explain(inherited, &wanted, &error);
    CHECK(strcmp(error.message, "as it was") == 0);
    inherited_free(inherited);
}

Test(inherited, says_why_its_port_is_taken)
{
    expect_fine(explain);
}

static void count_wrongly(void)
{
    struct address first;
    int fds[] = {loopback_listen(&first)};
    hand_over(fds, 1, NULL);
    close(FIRST + 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "a:b:c", 1);
    struct inherited *inherited = inherited_new();
    CHECK(count_said("LISTEN_FDNAMES is ignored") == 1);
    CHECK(count_said("descriptor 4 (unknown), handed over, is ignored: it is not open") == 1);
    CHECK(inherited_find(inherited, &first) != NULL);
    inherited_free(inherited);
}

Test(inherited, more_names_or_descriptors_than_there_are)
{
    expect_fine(count_wrongly);
}
