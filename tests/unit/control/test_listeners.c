#include "control/listeners.h"

#include "support/loopback.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 2, LISTENS_MAX = 4 };

static struct listeners *listeners;
static struct listen_spec specs[LISTENS_MAX];
static struct globals globals;
static struct snapshot snapshot;
static char folder[32];
static int fds_before;

static void begin(void)
{
    strcpy(folder, "/tmp/listeners-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    fds_before = open_fd_count();
    listeners = listeners_new(WORKERS, NULL);
    globals = (struct globals){.listens = specs};
    snapshot = (struct snapshot){.globals = &globals};
}

static void end(void)
{
    listeners_free(listeners);
    cr_expect_eq(open_fd_count(), fds_before, "every socket is closed");
    rmdir(folder);
    buffer_cache_clear();
}

TestSuite(listeners, .init = begin, .fini = end);

static void forget(void)
{
    globals.listen_count = 0;
}

static struct listen_spec *add(enum listen_kind kind, const char *text)
{
    struct listen_spec *spec = &specs[globals.listen_count++];
    struct error error;
    *spec = (struct listen_spec){.kind = kind, .text = text};
    spec->address_count = listen_address_parse(slice_of(text), spec->addresses, &error);
    cr_assert_gt(spec->address_count, 0, "%s", error.message);
    return spec;
}

static struct listen_plan *plan(void)
{
    struct error error;
    struct listen_plan *made = listeners_plan(listeners, &snapshot, &error);
    cr_assert_not_null(made, "%s", error.message);
    return made;
}

/* Hands everything over and closes it, as workers would when they end. Returns how many sockets. */
static int commit(struct listen_plan *made)
{
    struct worker_listen taken[LISTENS_MAX * 2];
    unsigned count = listen_plan_count(made);
    int sockets = 0;
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        listen_plan_hand_over(made, worker, taken);
        for (unsigned i = 0; i < count; i++) {
            if (taken[i].fd < 0)
                continue;
            int listens = 0;
            socklen_t size = sizeof(listens);
            getsockopt(taken[i].fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
            cr_expect(listens);
            close(taken[i].fd);
            sockets++;
        }
    }
    listeners_commit(listeners, made);
    return sockets;
}

static const char *in_json(enum listen_kind kind)
{
    static char text[512];
    struct buffer out = {0};
    listeners_print_json(listeners, kind, &out);
    slice_copy_text(buffer_content(&out), text, sizeof(text));
    buffer_clear(&out);
    return text;
}

Test(listeners, a_socket_for_each_worker)
{
    add(LISTEN_HTTPS, "127.0.0.1:0");
    add(LISTEN_HTTP, "127.0.0.1:0");
    struct listen_plan *made = plan();
    cr_expect_eq(listen_plan_count(made), 2);
    cr_expect_eq(commit(made), 2 * WORKERS);
    cr_assert_eq(listeners_count(listeners), 2);
    const struct open_listen *https = listeners_at(listeners, 0);
    cr_expect_eq(https->kind, LISTEN_HTTPS);
    cr_expect_neq(address_port(&https->address), 0, "the port that it got");
    cr_expect_neq(https->id, listeners_at(listeners, 1)->id);
}

Test(listeners, status_stays_here)
{
    add(LISTEN_STATUS, "127.0.0.1:0");
    struct listen_plan *made = plan();
    cr_expect_eq(listen_plan_count(made), 0);
    cr_expect_eq(commit(made), 0);
    cr_assert_eq(listeners_at(listeners, 0)->fd_count, 1);
    cr_expect_geq(listeners_at(listeners, 0)->fds[0], 0);
}

Test(listeners, admin_is_nobodys_business_here)
{
    add(LISTEN_ADMIN, "unix:/nowhere/admin.sock");
    commit(plan());
    cr_expect_eq(listeners_count(listeners), 0);
}

Test(listeners, both_families_get_one_port_and_are_one_in_print)
{
    const struct listen_spec *spec = add(LISTEN_HTTPS, ":0");
    commit(plan());
    cr_assert_eq(listeners_count(listeners), (unsigned)spec->address_count);
    uint16_t port = address_port(&listeners_at(listeners, 0)->address);
    for (int i = 1; i < spec->address_count; i++)
        cr_expect_eq(address_port(&listeners_at(listeners, (unsigned)i)->address), port);
    char expected[64];
    snprintf(expected, sizeof(expected), "[\"%s:%u\"]",
             spec->addresses[0].as.any.sa_family == AF_INET6 ? "[::]" : "0.0.0.0", port);
    cr_expect_str_eq(in_json(LISTEN_HTTPS), expected);
    cr_expect_str_eq(in_json(LISTEN_HTTP), "[]");
}

Test(listeners, what_stays_keeps_its_socket_and_port)
{
    add(LISTEN_HTTPS, "127.0.0.1:0");
    commit(plan());
    unsigned id = listeners_at(listeners, 0)->id;
    uint16_t port = address_port(&listeners_at(listeners, 0)->address);

    forget();
    add(LISTEN_HTTP, "127.0.0.1:0");
    struct listen_spec *kept = add(LISTEN_HTTPS, "127.0.0.1:0");
    struct listen_plan *made = plan();
    struct worker_listen taken[2];
    listen_plan_hand_over(made, 0, taken);
    cr_expect_geq(taken[0].fd, 0, "a new one");
    cr_expect_eq(taken[1].fd, -1, "one that the worker has");
    cr_expect_eq(taken[1].id, id);
    cr_expect_eq(taken[1].spec, kept, "as the new generation has it");
    close(taken[0].fd);
    listen_plan_hand_over(made, 1, taken);
    close(taken[0].fd);
    listeners_commit(listeners, made);
    cr_expect_eq(address_port(&listeners_at(listeners, 1)->address), port);
}

Test(listeners, the_same_text_twice_is_two)
{
    add(LISTEN_HTTPS, "127.0.0.1:0");
    add(LISTEN_HTTPS, "127.0.0.1:0");
    cr_expect_eq(commit(plan()), 2 * WORKERS);
    unsigned first = listeners_at(listeners, 0)->id, second = listeners_at(listeners, 1)->id;
    cr_expect_neq(first, second);
    cr_expect_eq(commit(plan()), 0, "both are kept");
    cr_expect_eq(listeners_at(listeners, 0)->id, first);
    cr_expect_eq(listeners_at(listeners, 1)->id, second);
}

Test(listeners, what_goes_is_gone)
{
    add(LISTEN_HTTPS, "127.0.0.1:0");
    add(LISTEN_STATUS, "127.0.0.1:0");
    commit(plan());
    unsigned id = listeners_at(listeners, 0)->id;
    forget();
    commit(plan());
    cr_expect_eq(listeners_count(listeners), 0);
    add(LISTEN_HTTPS, "127.0.0.1:0");
    commit(plan());
    cr_expect_neq(listeners_at(listeners, 0)->id, id, "ids are never used twice");
}

Test(listeners, a_taken_address_fails_and_leaves_nothing_behind)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    int taken = loopback_listen(&address);
    address_format(&address, text);
    add(LISTEN_HTTPS, "127.0.0.1:0");
    add(LISTEN_HTTP, text);
    int fds = open_fd_count();
    struct error error = {""};
    cr_assert_null(listeners_plan(listeners, &snapshot, &error));
    cr_expect_not_null(strstr(error.message, text), "%s", error.message);
    cr_expect_eq(open_fd_count(), fds);
    cr_expect_eq(listeners_count(listeners), 0);
    close(taken);
}

Test(listeners, a_plan_given_up_changes_nothing)
{
    add(LISTEN_HTTPS, "127.0.0.1:0");
    commit(plan());
    unsigned id = listeners_at(listeners, 0)->id;
    add(LISTEN_HTTP, "127.0.0.1:0");
    add(LISTEN_STATUS, "127.0.0.1:0");
    listeners_abandon(listeners, plan());
    cr_assert_eq(listeners_count(listeners), 1);
    cr_expect_eq(listeners_at(listeners, 0)->id, id);
    cr_expect_eq(commit(plan()), 1 * WORKERS, "only the new one needs sockets then");
}

/* One process holds the address already: itself. */
Test(listeners, an_address_may_change_its_kind)
{
    add(LISTEN_STATUS, "127.0.0.1:0");
    commit(plan());
    char text[ADDRESS_TEXT_SIZE];
    address_format(&listeners_at(listeners, 0)->address, text);
    forget();
    add(LISTEN_HTTP, text);
    cr_expect_eq(commit(plan()), WORKERS);
    cr_expect_eq(listeners_at(listeners, 0)->kind, LISTEN_HTTP);
}

/* --- Unix sockets ------------------------------------------------------------------------------
 */

static const char *in_folder(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    return text;
}

Test(listeners, the_file_of_a_unix_socket_goes_with_it)
{
    add(LISTEN_HTTP, in_folder());
    cr_expect_eq(commit(plan()), WORKERS);
    cr_expect_eq(access(in_folder() + 5, F_OK), 0);
    forget();
    commit(plan());
    cr_expect_neq(access(in_folder() + 5, F_OK), 0);
}

Test(listeners, the_file_of_another_socket_is_left_alone)
{
    add(LISTEN_HTTP, in_folder());
    commit(plan());
    unlink(in_folder() + 5);
    struct address address;
    /* A file in between, so that the new one cannot get the old one's inode. */
    char other[64];
    snprintf(other, sizeof(other), "%s/other", folder);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    int fd = loopback_listen_unix(in_folder() + 5, 1, &address);
    forget();
    commit(plan());
    cr_expect_eq(access(in_folder() + 5, F_OK), 0);
    close(fd);
    unlink(in_folder() + 5);
    unlink(other);
}
