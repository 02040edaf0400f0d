/* Listening sockets that are nobody else's, and accepting. */
#include "net/listener.h"

#include "support/loopback.h"
#include "support/syscalls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct error error;

static void assert_says(const char *words)
{
    cr_assert_not_null(strstr(error.message, words), "\"%s\" does not say \"%s\"", error.message,
                       words);
}

static int parse(const char *text, struct address addresses[2])
{
    int count = listen_address_parse(slice_of(text), addresses, &error);
    cr_assert_gt(count, 0, "%s", error.message);
    return count;
}

static int open_one(const char *text, struct address *address)
{
    struct address addresses[2];
    cr_assert_eq(parse(text, addresses), 1);
    int fd = listen_socket_open(&addresses[0], 0600, &error);
    *address = addresses[0];
    return fd;
}

static int connect_to(const struct address *address)
{
    int fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (connect(fd, &address->as.any, address->length) == 0)
        return fd;
    close(fd);
    return -1;
}

/* What needs no privilege must be tried without. False where that cannot be had. */
static bool become_nobody(void)
{
    return geteuid() != 0 || seteuid(65534) == 0;
}

/* LeakSanitizer wants to trace this process at its end. */
static void become_yourself_again(void)
{
    cr_assert_eq(seteuid(getuid()), 0);
    prctl(PR_SET_DUMPABLE, 1);
}

/* --- sockets -------------------------------------------------------------------------------------
 */

TestSuite(listen_socket, .timeout = 240);

Test(listen_socket, has_a_real_port_and_listens)
{
    struct address address;
    int fd = open_one("127.0.0.1:0", &address), client;
    cr_assert_geq(fd, 0, "%s", error.message);
    cr_assert_neq(address_port(&address), 0);
    cr_assert_geq(client = connect_to(&address), 0);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(client);
    close(fd);
}

static void assert_taken(const struct address *address)
{
    struct address wanted = *address;
    char text[ADDRESS_TEXT_SIZE];
    address_format(address, text);
    cr_assert_eq(listen_socket_open(&wanted, 0, &error), -1);
    assert_says(text);
    assert_says("something else is listening there: stop it or choose another port");
}

Test(listen_socket, refuses_a_port_that_another_program_holds)
{
    struct address address;
    int other = loopback_listen(&address);
    assert_taken(&address);
    close(other);
}

Test(listen_socket, refuses_a_port_that_is_shared_by_others)
{
    struct address address, any[2];
    int on = 1, other = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(parse("127.0.0.1:0", any), 1);
    setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    cr_assert_eq(bind(other, &any[0].as.any, any[0].length), 0);
    cr_assert_eq(listen(other, 1), 0);
    address = any[0];
    cr_assert_eq(getsockname(other, &address.as.any, &address.length), 0);
    assert_taken(&address);
    close(other);
}

/* Another gateway, which has opened its sockets in the same way. */
Test(listen_socket, refuses_the_port_of_another_gateway)
{
    struct address address;
    int first = open_one("127.0.0.1:0", &address);
    assert_taken(&address);
    int second = listen_socket_share(&address, &error);
    assert_taken(&address);
    close(first);
    assert_taken(&address);
    close(second);
    int again = listen_socket_open(&address, 0, &error);
    cr_assert_geq(again, 0, "%s", error.message);
    close(again);
}

Test(listen_socket, refuses_a_port_that_is_held_on_all_addresses)
{
    struct address all, one;
    int other = open_one("0.0.0.0:0", &all);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%u", address_port(&all));
    cr_assert_eq(open_one(text, &one), -1);
    assert_says("something else is listening there");
    close(other);
}

Test(listen_socket, is_shared_by_workers)
{
    enum { WORKERS = 3, CLIENTS = 200 };
    struct address address;
    int fds[WORKERS], got[WORKERS] = {0}, clients[CLIENTS];
    fds[0] = open_one("127.0.0.1:0", &address);
    for (int i = 1; i < WORKERS; i++) {
        fds[i] = listen_socket_share(&address, &error);
        cr_assert_geq(fds[i], 0, "%s", error.message);
    }
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_geq(clients[i] = connect_to(&address), 0);
    for (int i = 0; i < WORKERS; i++) {
        for (int fd; (fd = accept(fds[i], NULL, NULL)) >= 0; got[i]++)
            close(fd);
        cr_assert_gt(got[i], 0, "the kernel spreads connections over all of them");
        close(fds[i]);
    }
    cr_assert_eq(got[0] + got[1] + got[2], CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

static bool machine_has_v6(void)
{
    struct address addresses[2];
    return parse(":0", addresses) == 2;
}

Test(listen_socket, has_the_same_port_in_both_families)
{
    struct address addresses[2];
    int fds[2], count = parse(":0", addresses);
    for (int round = 0; round < 20; round++) {
        struct address real[2] = {addresses[0], addresses[1]};
        cr_assert(listen_sockets_open(real, count, 0, fds, &error), "%s", error.message);
        cr_assert_neq(address_port(&real[0]), 0);
        cr_assert_eq(address_port(&real[0]), address_port(&real[count - 1]));
        for (int i = 0; i < count; i++) {
            int client = connect_to(&real[i]);
            cr_assert_geq(client, 0);
            close(client);
            close(fds[i]);
        }
    }
}

Test(listen_socket, opens_all_or_none)
{
    if (!machine_has_v6())
        return;
    struct address v4, addresses[2], v6;
    int other = open_one("0.0.0.0:0", &v4), fds[2];
    char text[32];
    snprintf(text, sizeof(text), ":%u", address_port(&v4));
    cr_assert_eq(parse(text, addresses), 2);
    cr_assert_not(listen_sockets_open(addresses, 2, 0, fds, &error));
    assert_says("0.0.0.0:");
    snprintf(text, sizeof(text), "[::]:%u", address_port(&v4));
    int free_again = open_one(text, &v6);
    cr_assert_geq(free_again, 0, "%s", error.message);
    close(free_again);
    close(other);
}

Test(listen_socket, says_which_address_is_not_of_this_machine)
{
    struct address address;
    cr_assert_eq(open_one("192.0.2.1:8443", &address), -1);
    assert_says("192.0.2.1:8443");
    assert_says("no interface of this machine has that address");
}

Test(listen_socket, says_what_a_low_port_needs)
{
    FILE *setting = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    int first = 1024;
    if (setting != NULL) {
        cr_assert_eq(fscanf(setting, "%d", &first), 1);
        fclose(setting);
    }
    if (first <= 1 || !become_nobody())
        cr_skip_test("every port may be bound here");
    struct address address;
    cr_assert_eq(open_one("127.0.0.1:1", &address), -1);
    become_yourself_again();
    assert_says("ports below 1024 need CAP_NET_BIND_SERVICE");
}

/* --- Unix sockets --------------------------------------------------------------------------------
 */

static char folder[] = "/tmp/sallyport-test-XXXXXX", path[64], local_text[80];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(local_text, sizeof(local_text), "unix:%s", path);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(listen_local, .init = make_folder, .fini = remove_folder, .timeout = 240);

static int open_with_mode(unsigned mode, struct address *address)
{
    struct address addresses[2];
    cr_assert_eq(parse(local_text, addresses), 1);
    *address = addresses[0];
    return listen_socket_open(address, mode, &error);
}

static mode_t seen_before_chmod;

/* Replaces the C library's: what could others do just before? */
int chmod(const char *of, mode_t mode)
{
    struct stat status;
    cr_assert_eq(stat(of, &status), 0);
    seen_before_chmod = status.st_mode & 0777;
    return fchmodat(AT_FDCWD, of, mode, 0);
}

Test(listen_local, has_its_mode_whatever_the_umask)
{
    static const mode_t masks[] = {0, 022, 0777};
    static const unsigned modes[] = {0600, 0660, 0666};
    for (int i = 0; i < 9; i++) {
        struct address address;
        struct stat status;
        umask(masks[i / 3]);
        int fd = open_with_mode(modes[i % 3], &address);
        cr_assert_geq(fd, 0, "%s", error.message);
        cr_assert_eq(stat(path, &status), 0);
        cr_assert_eq(status.st_mode & 0777, modes[i % 3], "%o", status.st_mode);
        cr_assert_eq(seen_before_chmod & ~modes[i % 3], 0, "never open to more, %o",
                     seen_before_chmod);
        close(fd); /* leaves a dead one behind */
    }
}

Test(listen_local, replaces_a_dead_one)
{
    struct address address;
    int dead = loopback_listen_unix(path, 1, &address), fd, client;
    close(dead);
    cr_assert_eq(connect_to(&address), -1);
    fd = open_with_mode(0600, &address);
    cr_assert_geq(fd, 0, "%s", error.message);
    cr_assert_geq(client = connect_to(&address), 0);
    close(client);
    close(fd);
}

Test(listen_local, refuses_a_live_one)
{
    struct address address;
    int live = loopback_listen_unix(path, 1, &address), client;
    cr_assert_eq(open_with_mode(0600, &address), -1);
    assert_says(path);
    assert_says("another process is listening there: stop it or choose another path");
    cr_assert_geq(client = connect_to(&address), 0, "and leaves it alone");
    close(client);
    close(live);
}

Test(listen_local, refuses_a_live_one_whose_queue_is_full)
{
    struct address address;
    int live = loopback_listen_unix(path, 0, &address), client = connect_to(&address);
    cr_assert_geq(client, 0);
    cr_assert_eq(open_with_mode(0600, &address), -1);
    assert_says("another process is listening there");
    close(client);
    close(live);
}

Test(listen_local, refuses_what_is_no_socket)
{
    struct address address;
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_eq(write(file, "precious", 8), 8);
    close(file);
    cr_assert_eq(open_with_mode(0600, &address), -1);
    assert_says("no socket");
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_size, 8);
}

Test(listen_local, says_what_is_wrong_with_the_folder)
{
    struct address address;
    snprintf(local_text, sizeof(local_text), "unix:%s/missing/socket", folder);
    cr_assert_eq(open_with_mode(0600, &address), -1);
    assert_says("the folder does not exist");
    if (!become_nobody())
        return;
    snprintf(local_text, sizeof(local_text), "unix:/usr/socket");
    cr_assert_eq(open_with_mode(0600, &address), -1);
    become_yourself_again();
    assert_says("cannot listen on unix:/usr/socket: permission denied: this user must be able to "
                "write to the folder");
}

/* --- accepting -----------------------------------------------------------------------------------
 */

enum { MOST = 3000 };

static struct loop *loop;
static struct listener *listener;
static struct accepted accepted[MOST];
static unsigned accepted_count, awaited_count;
static bool is_in_call;

static void take_accepted(void *owner, const struct accepted *one)
{
    cr_assert_eq(owner, &accepted);
    cr_assert_not(is_in_call);
    cr_assert_lt(accepted_count, MOST);
    accepted[accepted_count++] = *one;
    if (accepted_count == awaited_count)
        loop_stop(loop);
}

static void stop(void *unused)
{
    (void)unused;
    loop_stop(loop);
}

static void set_up(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    loop = loop_new();
    cr_assert_not_null(loop);
}

static int accepting_fd; /* of the newest listener */

static void listen_on(const char *text, struct address *address)
{
    int fd = open_one(text, address);
    cr_assert_geq(fd, 0, "%s", error.message);
    accepting_fd = fd;
    listener = listener_new(loop, fd, take_accepted, &accepted);
}

static void close_listener(void)
{
    if (listener == NULL)
        return;
    is_in_call = true;
    listener_close(listener);
    is_in_call = false;
    listener = NULL;
}

static void tear_down(void)
{
    close_listener();
    loop_free(loop);
    for (unsigned i = 0; i < accepted_count; i++)
        close(accepted[i].fd);
}

TestSuite(listener, .init = set_up, .fini = tear_down, .timeout = 240);

static void await(unsigned count)
{
    awaited_count = count;
    if (accepted_count < count)
        loop_run(loop);
    cr_assert_eq(accepted_count, count);
}

Test(listener, hands_over_sockets_that_are_ready_for_use)
{
    struct address address, own;
    listen_on("127.0.0.1:0", &address);
    int client = connect_to(&address), no_delay = 0;
    await(1);
    int fd = accepted[0].fd;
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &(socklen_t){sizeof(no_delay)});
    cr_assert_neq(no_delay, 0);

    own.length = sizeof(own.as);
    cr_assert_eq(getsockname(client, &own.as.any, &own.length), 0);
    cr_assert(address_equal(&accepted[0].peer, &own));
    cr_assert(address_equal(&accepted[0].local, &address));
    close(client);
}

Test(listener, knows_the_own_address_of_a_connection_to_all_of_them)
{
    struct address all, one[2];
    char text[32];
    listen_on("0.0.0.0:0", &all);
    snprintf(text, sizeof(text), "127.0.0.2:%u", address_port(&all));
    parse(text, one);
    int client = connect_to(&one[0]);
    await(1);
    cr_assert(address_equal(&accepted[0].local, &one[0]));
    close(client);
}

Test(listener, asks_the_kernel_once_for_a_connection)
{
    struct address address;
    int clients[100];
    listen_on("127.0.0.1:0", &address);
    int first = connect_to(&address);
    await(1);
    struct syscall_counts before = syscall_counts;
    for (int i = 0; i < 100; i++) {
        clients[i] = connect_to(&address);
        await((unsigned)i + 2);
    }
    cr_assert_eq(syscall_counts.getsockname, before.getsockname);
    cr_assert_leq(syscall_counts.accept4 - before.accept4, 160,
                  "asked for another one where two events follow each other, at most");
    cr_assert_eq(syscall_counts.epoll_ctl, before.epoll_ctl);
    close(first);
    for (int i = 0; i < 100; i++)
        close(clients[i]);
}

Test(listener, accepts_on_unix_sockets)
{
    struct address address;
    make_folder();
    listen_on(local_text, &address);
    int client = connect_to(&address);
    await(1);
    char text[ADDRESS_TEXT_SIZE];
    address_format(&accepted[0].peer, text);
    cr_assert_str_eq(text, "unix:");
    cr_assert(address_equal(&accepted[0].local, &address));
    close(client);
    remove_folder();
}

/* Others have their turn although connections queue up. */
struct turn {
    struct task task;
    unsigned seen;
};

static void take_turn(void *owner)
{
    struct turn *turn = owner;
    if (accepted_count > 0 && turn->seen == 0)
        turn->seen = accepted_count;
    if (turn->seen == 0)
        loop_wake(loop, &turn->task);
}

Test(listener, accepts_in_batches)
{
    enum { CLIENTS = 500 };
    static struct turn turn;
    struct address address;
    int clients[CLIENTS];
    listen_on("127.0.0.1:0", &address);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_geq(clients[i] = connect_to(&address), 0);
    task_init(&turn.task, take_turn, &turn);
    loop_wake(loop, &turn.task);
    await(CLIENTS);
    cr_assert_gt(turn.seen, 0);
    cr_assert_lt(turn.seen, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

/* As at SIGTERM: what the kernel has accepted for us is served. */
Test(listener, accepts_what_is_queued_before_it_closes)
{
    enum { CLIENTS = 1000 };
    struct address address;
    struct task after;
    int clients[CLIENTS];
    listen_on("127.0.0.1:0", &address);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_geq(clients[i] = connect_to(&address), 0);
    close_listener();
    task_init(&after, stop, NULL);
    loop_wake(loop, &after);
    loop_run(loop);
    cr_assert_eq(accepted_count, CLIENTS, "a task woken afterwards finds them all");
    cr_assert_eq(connect_to(&address), -1, "closed");
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

/* --- want of file descriptors --------------------------------------------------------------------
 */

static int saved_stderr, events;

/* From now on event lines can be counted. */
static void capture_events(void)
{
    char name[] = "/tmp/sallyport-test-XXXXXX";
    events = mkstemp(name);
    cr_assert_geq(events, 0);
    unlink(name);
    saved_stderr = dup(STDERR_FILENO);
    dup2(events, STDERR_FILENO);
}

static unsigned count_events(const char *name)
{
    static char text[100000];
    ssize_t length = pread(events, text, sizeof(text) - 1, 0);
    unsigned count = 0;
    text[length > 0 ? length : 0] = '\0';
    for (char *at = text; (at = strstr(at, name)) != NULL; at++)
        count++;
    return count;
}

static void allow_files(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void run_for(uint64_t ms)
{
    struct task task;
    struct deadline deadline;
    task_init(&task, stop, NULL);
    deadline_init(&deadline, &task);
    deadline_set(loop, &deadline, ms);
    while (!deadline_passed(loop, &deadline))
        loop_run(loop);
    deadline_clear(&deadline);
}

/* epoll still knows an open file of which this was one descriptor of several. */
Test(listener, sleeps_after_closing_while_others_hold_the_socket)
{
    struct address address;
    listen_on("127.0.0.1:0", &address);
    int others = fcntl(accepting_fd, F_DUPFD_CLOEXEC, 3);
    close_listener();
    run_for(10);
    int client = connect_to(&address);
    uint64_t before = loop_sleeps(loop);
    run_for(200);
    cr_assert_leq(loop_sleeps(loop) - before, 20, "although somebody waits");
    cr_assert_eq(accepted_count, 0);
    close(client);
    close(others);
}

Test(listener, pauses_while_there_are_no_file_descriptors)
{
    enum { CLIENTS = 5 };
    struct address address;
    int clients[CLIENTS];
    listen_on("127.0.0.1:0", &address);
    capture_events();
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_geq(clients[i] = connect_to(&address), 0);
    cr_assert_not(listener_is_paused(listener));
    int highest = dup(0);
    close(highest);
    allow_files((rlim_t)highest);
    uint64_t before = loop_sleeps(loop);
    run_for(350); /* it tries several times */
    cr_assert(listener_is_paused(listener));
    cr_assert_eq(accepted_count, 0);
    cr_assert_leq(loop_sleeps(loop) - before, 20, "and sleeps in between");
    cr_assert_eq(count_events("accept.paused"), 1, "but says so once");
    cr_assert_eq(count_events("accept.resumed"), 0);

    allow_files((rlim_t)highest + 50);
    await(CLIENTS);
    run_for(10);
    cr_assert_not(listener_is_paused(listener));
    cr_assert_eq(count_events("accept.paused"), 1);
    cr_assert_eq(count_events("accept.resumed"), 1);
    int late = connect_to(&address);
    await(CLIENTS + 1);

    dup2(saved_stderr, STDERR_FILENO);
    close(late);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

Test(listener, may_be_closed_while_it_pauses)
{
    struct address address;
    listen_on("127.0.0.1:0", &address);
    capture_events();
    int client = connect_to(&address), highest = dup(0);
    close(highest);
    allow_files((rlim_t)highest);
    run_for(20);
    cr_assert(listener_is_paused(listener));
    close_listener();
    run_for(150);
    cr_assert_eq(count_events("accept.resumed"), 1);
    allow_files((rlim_t)highest + 50);
    cr_assert_eq(connect_to(&address), -1);
    close(client);
    dup2(saved_stderr, STDERR_FILENO);
}
