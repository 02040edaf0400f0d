/* Giving up rights: each time in a process of its own, which does not get them back. */
#include "control/privileges.h"

#include <criterion/criterion.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOMEBODY = 65534, OTHER = 12345 };

static const struct process_user somebody = {.user = "65534", .uid = SOMEBODY, .gid = SOMEBODY};

static int run_alone(int (*run)(void))
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(run());
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Each failure is the line's number, modulo what an exit code holds. */
#define CHECK(fact)                \
    do {                           \
        if (!(fact))               \
            return __LINE__ % 250; \
    } while (0)

static uint32_t held(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct words[2] = {{0}};
    return syscall(SYS_capget, &header, words) == 0 ? words[0].permitted | words[1].permitted
                                                    : UINT32_MAX;
}

static bool is_all(uid_t id)
{
    uid_t uid[3];
    gid_t gid[3], group = 0;
    return getresuid(&uid[0], &uid[1], &uid[2]) == 0 && getresgid(&gid[0], &gid[1], &gid[2]) == 0 &&
           uid[0] == id && uid[1] == id && uid[2] == id && gid[0] == id && gid[1] == id &&
           gid[2] == id && getgroups(1, &group) == 1 && group == id;
}

static int become_somebody(void)
{
    struct error error;
    CHECK(privileges_are_held());
    CHECK(privileges_become(&somebody, &error));
    CHECK(is_all(SOMEBODY) && setuid(0) != 0 && held() == 0);
    CHECK(!privileges_are_held());
    CHECK(!privileges_become(&(struct process_user){.user = "root"}, &error));
    CHECK(strstr(error.message, "cannot become the user root") != NULL);
    return 0;
}

static int drop_with_low_port(uint16_t port)
{
    struct error error;
    struct listen_spec spec = {.kind = LISTEN_HTTPS, .address_count = 1};
    struct globals globals = {.listens = &spec, .listen_count = 1, .process_user = somebody};

    spec.addresses[0].as.any.sa_family = AF_INET;
    spec.addresses[0].length = sizeof(spec.addresses[0].as.v4);
    address_set_port(&spec.addresses[0], port);
    CHECK(privileges_drop(&globals, &error));
    CHECK(is_all(SOMEBODY) && setuid(0) != 0);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_CAPBSET_READ, CAP_NET_BIND_SERVICE, 0, 0, 0) == 0);
    CHECK(held() == (port > 0 && port < 1024 ? 1U << CAP_NET_BIND_SERVICE : 0));
    return 0;
}

static int drop_with_port_443(void)
{
    return drop_with_low_port(443);
}

static int drop_with_port_1023(void)
{
    return drop_with_low_port(1023);
}

static int drop_with_port_1024(void)
{
    return drop_with_low_port(1024);
}

static int drop_with_any_port(void)
{
    return drop_with_low_port(0);
}

static int drop_blindly(void)
{
    struct error error;
    uid_t before = getuid();
    CHECK(privileges_drop(NULL, &error));
    CHECK(getuid() == before && held() == 0);
    return 0;
}

static int drop_as_somebody_else(void)
{
    struct error error;
    const struct globals globals = {.process_user = somebody};
    CHECK(geteuid() != 0 || (setgid(OTHER) == 0 && setuid(OTHER) == 0));
    uid_t before = getuid();
    CHECK(privileges_drop(&globals, &error));
    CHECK(getuid() == before && held() == 0);
    CHECK(privileges_fit(&globals, &error)); /* a warning was all */
    return 0;
}

#define expect_fine(run) cr_expect_eq(run_alone(run), 0, #run ", line %d", run_alone(run))

Test(privileges, root_becomes_the_user_for_good)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become another user");
    expect_fine(become_somebody);
    expect_fine(drop_with_port_443);
    expect_fine(drop_with_port_1023);
    expect_fine(drop_with_port_1024);
    expect_fine(drop_with_any_port);
}

Test(privileges, nothing_is_kept_for_a_file_that_says_nothing)
{
    expect_fine(drop_blindly);
}

Test(privileges, who_is_not_root_stays_who_they_are)
{
    expect_fine(drop_as_somebody_else);
}

Test(privileges, first_generation_must_name_the_user_that_was_seen)
{
    struct error error;
    struct globals globals = {.process_user = somebody};
    if (geteuid() != 0)
        cr_skip_test("only root could be somebody else than it should be");
    cr_expect_not(privileges_fit(&globals, &error));
    cr_expect_not_null(strstr(error.message, "start it again"));
    globals.process_user = (struct process_user){0};
    cr_expect(privileges_fit(&globals, &error));
}
