/* The filter of system calls: each attempt in a process of its own, which has the filter for good.
 */
#include "control/sandbox.h"
#include "net/resolver.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FINE = 0, NO_FILTER = 100, WRONG = 101 };

/* What the attempt returns is the child's exit code. */
static int attempt(int (*run)(void))
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct error error;
        /* The filter knows its process by its number. */
        _exit(sandbox_filter(&error) ? run() : NO_FILTER);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void skip_without_sandbox(void)
{
    if (!sandbox_is_built())
        cr_skip_test("a build with a sanitizer has no sandbox");
}

#define expect_deadly(run)  cr_expect_eq(attempt(run), 1000 + SIGSYS, #run)
#define expect_fine(run)    cr_expect_eq(attempt(run), FINE, #run ": %d", attempt(run))
#define expect_unknown(run) cr_expect_eq(attempt(run), ENOSYS, #run ": %d", attempt(run))

/* --- what ends the process -----------------------------------------------------------------------
 */

static int call_execve(void)
{
    char *const arguments[] = {(char[]){"true"}, NULL};
    execve("/bin/true", arguments, arguments + 1);
    return errno;
}

static int call_execveat(void)
{
    char *const arguments[] = {(char[]){"true"}, NULL};
    syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments + 1, 0);
    return errno;
}

static int call_fork(void)
{
    pid_t child = fork(); /* clone without CLONE_THREAD */
    return child < 0 ? errno : child == 0 ? FINE : WRONG;
}

static int call_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : WRONG;
}

static int call_setuid(void)
{
    return setuid(getuid()) < 0 ? errno : WRONG;
}

static int call_mount(void)
{
    return syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL) < 0 ? errno : WRONG;
}

static int call_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0) < 0 ? errno : WRONG;
}

static int call_keyctl(void)
{
    return syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0 ? errno : WRONG;
}

static int call_open_by_handle(void)
{
    return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY) < 0 ? errno : WRONG;
}

static int call_unshare(void)
{
    return syscall(SYS_unshare, CLONE_NEWUSER) < 0 ? errno : WRONG;
}

static int call_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? errno : WRONG;
}

Test(sandbox, what_only_an_intruder_asks_for_ends_the_process)
{
    skip_without_sandbox();
    expect_deadly(call_execve);
    expect_deadly(call_execveat);
    expect_deadly(call_fork);
    expect_deadly(call_ptrace);
    expect_deadly(call_setuid);
    expect_deadly(call_mount);
    expect_deadly(call_bpf);
    expect_deadly(call_keyctl);
    expect_deadly(call_open_by_handle);
    expect_deadly(call_unshare);
    expect_deadly(call_io_uring);
}

/* --- what the kernel seems not to know -----------------------------------------------------------
 */

static int open_socket(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);
    return fd < 0 ? errno : FINE;
}

static int call_packet_socket(void)
{
    return open_socket(AF_PACKET, SOCK_RAW, 0);
}

static int call_raw_socket(void)
{
    return open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int call_netfilter_socket(void)
{
    return open_socket(AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */);
}

static int map(int protection)
{
    void *at = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : FINE;
}

static int call_mmap_writable_and_executable(void)
{
    return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int call_mprotect_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(at, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : WRONG;
}

static int call_chmod_suid(void)
{
    return chmod("/nowhere", S_ISUID | 0755) < 0 ? errno : WRONG;
}

static int call_setrlimit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) < 0   ? WRONG
           : setrlimit(RLIMIT_CORE, &limit) < 0 ? errno
                                                : WRONG;
}

static int call_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? errno : WRONG;
}

static int call_kill(void)
{
    return kill(getppid(), 0) < 0 ? errno : WRONG;
}

static int call_clone3(void)
{
    return syscall(SYS_clone3, NULL, 0) < 0 ? errno : WRONG;
}

static int call_of_tomorrow(void)
{
    return syscall(2000, 0) < 0 ? errno : WRONG;
}

static int call_terminal_input(void)
{
    return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x") < 0 ? errno : WRONG;
}

Test(sandbox, everything_else_is_a_call_that_the_kernel_does_not_know)
{
    skip_without_sandbox();
    expect_unknown(call_packet_socket);
    expect_unknown(call_raw_socket);
    expect_unknown(call_netfilter_socket);
    expect_unknown(call_mmap_writable_and_executable);
    expect_unknown(call_mprotect_executable);
    expect_unknown(call_chmod_suid);
    expect_unknown(call_setrlimit);
    expect_unknown(call_dumpable);
    expect_unknown(call_kill);
    expect_unknown(call_clone3);
    expect_unknown(call_of_tomorrow);
    expect_unknown(call_terminal_input);
}

/* --- what the gateway needs ----------------------------------------------------------------------
 */

static int open_sockets(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    for (size_t i = 0; i < 3; i++) {
        int problem = open_socket(families[i], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (problem != FINE && problem != EAFNOSUPPORT)
            return problem;
        problem = open_socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (problem != FINE && problem != EAFNOSUPPORT)
            return problem;
    }
    return open_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static int look_up_names(void)
{
    struct addrinfo *found = NULL;
    struct passwd entry, *there = NULL;
    char bytes[4096];

    if (getaddrinfo("localhost", "80", &(struct addrinfo){.ai_flags = AI_ADDRCONFIG}, &found) != 0)
        return WRONG;
    freeaddrinfo(found);
    /* Whatever the answer, the modules of nsswitch.conf have had their turn. */
    return getpwnam_r("root", &entry, bytes, sizeof(bytes), &there) == 0 && there != NULL ? FINE
                                                                                          : WRONG;
}

static void leave_when_answered(void *loop)
{
    loop_stop(loop);
}

/* The hosts file, resolv.conf, UDP, TCP, and which of several addresses this machine reaches. */
static int ask_name_servers(void)
{
    struct dns_server *server = dns_server_start();
    struct loop *loop = loop_new();
    struct resolver *resolver = resolver_new(loop, NULL);
    struct lookup_answer answer;
    struct address address;
    struct task task;

    dns_server_add_a(server, "a.test", 60, "127.0.0.1");
    dns_server_add_aaaa(server, "a.test", 60, "::1");
    dns_server_behave(server, DNS_ANY_TYPE, DNS_TRUNCATES);
    if (!name_server_parse(slice_of(dns_server_address(server)), &address, NULL))
        return WRONG;
    resolver_set_servers(resolver, &address, 1);
    task_init(&task, leave_when_answered, loop);
    struct lookup *lookup = lookup_start(resolver, "a.test", 80, &task);
    loop_run(loop);
    if (lookup_answer(lookup, &answer) != IO_OK)
        return WRONG;
    return answer.outcome == LOOKUP_FOUND && answer.count == 2 ? FINE : WRONG;
}

static void *name_yourself(void *is_named)
{
    *(int *)is_named = pthread_setname_np(pthread_self(), "named") == 0;
    return NULL;
}

static int start_thread(void)
{
    pthread_t thread;
    int is_named = 0, problem = pthread_create(&thread, NULL, name_yourself, &is_named);
    if (problem != 0)
        return problem;
    pthread_join(thread, NULL);
    return is_named ? FINE : WRONG;
}

/* As helpers that give way to the loops do. */
static int step_back(void)
{
    const struct sched_param none = {0};
    return sched_setscheduler(0, SCHED_IDLE, &none) < 0 ? errno : FINE;
}

static int call_mmap_code(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    return at == MAP_FAILED ? errno : FINE;
}

static int ask_limits(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? FINE : errno;
}

static int call_abort(void)
{
    abort();
}

Test(sandbox, what_the_gateway_needs_is_there)
{
    skip_without_sandbox();
    expect_fine(open_sockets);
    expect_fine(look_up_names);
    expect_fine(step_back);
    expect_fine(ask_name_servers);
    expect_fine(start_thread);
    expect_fine(call_mmap_code);
    expect_fine(ask_limits);
    cr_expect_eq(attempt(call_abort), 1000 + SIGABRT);
}
