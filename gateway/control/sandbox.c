/* The filter has three answers.
 *
 * - What the gateway, its libraries and the C library need is allowed, below by what it is for.
 * - What nobody in here ever needs, and what an intruder wants first, ends the process: whoever got
 *   as far as asking for a shell is to get nothing else either, and the kernel's log says which
 * call it was.
 * - Everything else is answered ENOSYS, as by a kernel that does not know it. That is the answer
 *   which libraries are prepared for: a newer C library on a newer kernel tries a newer call and
 *   falls back. A call that is missing from the list is an error in one request then, not the end
 * of all of them in the middle of the night.
 *
 * Name look-up may load a module of nsswitch.conf at any time (the C library reads that file anew
 * when it changes), so code may be mapped from files. Memory that can be written is never
 * executable and does not become so.
 */
#include "control/sandbox.h"

#include "base/log.h"

#include <asm/termbits.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef SALLYPORT_SANITIZED
static const bool is_built = false;
#else
static const bool is_built = true;
#endif

static const int allowed[] = {
    /* Waiting: the loops, their alarms, what wakes them from other threads, files that change. */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(pipe2),
    SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(pause),

    /* Connections: clients, backends, name servers, the admin socket, the service manager. Which
     * families there may be is below. */
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),

    /* Bytes of anything that is open. */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(fcntl),

    /* Files: route files, certificates, challenges and folders of them; logs that are opened anew;
     * /proc/self for the metrics; what name look-up reads. */
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(fadvise64),

    /* The admin socket: its folder, its lock, a dead one in its place. Its mode is below. */
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(flock),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),

    /* Memory. Mapping and protecting it is below. */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),

    /* Threads: workers, the log's writer, helpers that come and go with loads. clone is below;
     * clone3 has its flags in memory, where a filter cannot see them, and is left out, so that the
     * C library takes clone. */
    SCMP_SYS(futex),
    SCMP_SYS(futex_waitv),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(membarrier),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),

    /* Signals: received through a descriptor; an assertion that fails raises one, see below. */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd4),
    SCMP_SYS(restart_syscall),

    /* Clocks where the vDSO does not answer, randomness, and questions about ourselves. */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(times),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getpgrp),
};

static const int deadly[] = {
    /* Another program. */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),

    /* Other processes' memory, descriptors and secrets. */
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),

    /* Back to privileges, or around a file's permissions. */
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(capset),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(personality),

    /* Another view of the machine. */
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(mount_setattr),

    /* The kernel itself, and the parts of it that are broken into most. */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
};

/* --- calls that depend on what they are asked for ------------------------------------------------
 */

/* Arguments that are ints have nothing to say in their upper half. */
#define IS(argument, value) SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value)
/* Of a socket, beside its flags. */
#define IS_KIND(argument, kind) SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xfU, kind)
#define HAS_NONE(argument, bits) \
    SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bits), (scmp_datum_t)0)
#define HAS_ALL(argument, bits) \
    SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bits), (scmp_datum_t)(bits))

/* 0, or a negative errno. Each call with other arguments is ENOSYS but clone. */
static int add_conditions(scmp_filter_ctx filter)
{
    static const unsigned long requests[] = {
        TCGETS,                    /* is it a terminal? */
        FIONREAD,     FIONBIO,     /* asked by name look-up */
        SIOCGIFINDEX, SIOCGIFNAME, /* fe80::1%eth0 */
    };
    const struct {
        uint32_t action;
        int call;
        struct scmp_arg_cmp first, second;
        unsigned count;
    } rules[] = {
        /* A thread, not a process. */
        {SCMP_ACT_ALLOW, SCMP_SYS(clone), HAS_ALL(0, CLONE_THREAD), {0}, 1},
        {SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), HAS_NONE(0, CLONE_THREAD), {0}, 1},
        /* The network, local sockets, and which addresses this machine has: no raw packets. */
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_INET), IS_KIND(1, SOCK_STREAM), 2},
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_INET), IS_KIND(1, SOCK_DGRAM), 2},
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_INET6), IS_KIND(1, SOCK_STREAM), 2},
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_INET6), IS_KIND(1, SOCK_DGRAM), 2},
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_UNIX), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(socket), IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE), 2},
        /* Writable or executable, never both and never one after the other. */
        {SCMP_ACT_ALLOW, SCMP_SYS(mmap), HAS_NONE(2, PROT_WRITE), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(mmap), HAS_NONE(2, PROT_EXEC), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), HAS_NONE(2, PROT_EXEC), {0}, 1},
        /* The admin socket's mode, never one that gives away who runs it. */
        {SCMP_ACT_ALLOW, SCMP_SYS(chmod), HAS_NONE(1, S_ISUID | S_ISGID), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(fchmod), HAS_NONE(1, S_ISUID | S_ISGID), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(fchmodat), HAS_NONE(2, S_ISUID | S_ISGID), {0}, 1},
        /* A helper that steps back behind all others. */
        {SCMP_ACT_ALLOW, SCMP_SYS(sched_setscheduler), IS(0, 0), IS(1, SCHED_IDLE), 2},
        /* A thread's name; limits that are only asked for; signals to ourselves: abort, cancel. */
        {SCMP_ACT_ALLOW, SCMP_SYS(prctl), IS(0, PR_SET_NAME), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), SCMP_CMP(2, SCMP_CMP_EQ, 0, 0), {0}, 1},
        {SCMP_ACT_ALLOW, SCMP_SYS(tgkill), IS(0, (scmp_datum_t)getpid()), {0}, 1},
    };
    int result = 0;

    for (size_t i = 0; result == 0 && i < sizeof(rules) / sizeof(rules[0]); i++)
        result =
            seccomp_rule_add_array(filter, rules[i].action, rules[i].call, rules[i].count,
                                   (const struct scmp_arg_cmp[]){rules[i].first, rules[i].second});
    for (size_t i = 0; result == 0 && i < sizeof(requests) / sizeof(requests[0]); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, IS(1, requests[i]));
    return result;
}

/* --- the filter ----------------------------------------------------------------------------------
 */

static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++)
        result = seccomp_rule_add(filter, action, calls[i], 0);
    return result;
}

static int load_filter(scmp_filter_ctx filter)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    /* All threads at once, though there is one yet. */
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Nobody's code runs here but ours: older kernels would slow all of it down otherwise. Not
     * everywhere to be had, and nothing hangs on it. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result == 0)
        result = add_list(filter, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
    if (result == 0)
        result =
            add_list(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(deadly[0]));
    if (result == 0)
        result = add_conditions(filter);
    return result == 0 ? seccomp_load(filter) : result;
}

bool sandbox_filter(struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int result = filter != NULL ? load_filter(filter) : -ENOMEM;

    if (filter != NULL)
        seccomp_release(filter);
    if (result != 0)
        error_set(error, "system calls cannot be filtered: %s", strerror(-result));
    return result == 0;
}

bool sandbox_is_built(void)
{
    return is_built;
}

void sandbox_allow_leak_check(void)
{
    if (!is_built)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

void sandbox_enter(void)
{
    const struct rlimit no_core = {0, 0};
    struct error error;

    if (!is_built)
        return;
    /* Neither a dump nor another process of this user gets to see the keys. */
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        log_event(LOG_WARN, "sandbox", "core dumps cannot be ruled out: %s", strerror(errno));
    if (sandbox_filter(&error))
        log_event(LOG_INFO, "sandbox", "system calls are filtered; no core dumps, no tracing");
    else
        log_event(LOG_WARN, "sandbox", "%s; the gateway serves without a filter", error.message);
}
