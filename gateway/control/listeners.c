#include "control/listeners.h"

#include "base/json_text.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRAFFIC_SOCKET_MODE = 0666 }; /* who may connect to a Unix socket is its folder's business */

struct listeners {
    unsigned workers;
    struct inherited *inherited;
    unsigned last_id;
    struct open_listen **list;
    unsigned count;
};

struct listen_plan {
    struct open_listen **list;
    unsigned count;
};

/* --- one address -------------------------------------------------------------------------------
 */

static void close_sockets(struct open_listen *open)
{
    for (unsigned i = 0; i < open->fd_count; i++)
        if (open->fds[i] >= 0)
            close(open->fds[i]);
    free(open->fds);
    open->fds = NULL;
    open->fd_count = 0;
}

static void remember_socket_file(struct open_listen *open)
{
    struct stat file;
    if (open->address.as.any.sa_family != AF_UNIX || open->inherited != NULL ||
        stat(open->address.as.local.sun_path, &file) != 0)
        return;
    open->device = file.st_dev;
    open->inode = file.st_ino;
}

static void remove_socket_file(const struct open_listen *open)
{
    struct stat file;
    if (open->inode != 0 && stat(open->address.as.local.sun_path, &file) == 0 &&
        file.st_dev == open->device && file.st_ino == open->inode)
        unlink(open->address.as.local.sun_path);
}

static void listen_free(struct open_listen *open)
{
    close_sockets(open);
    remove_socket_file(open);
    inherited_release(open->inherited);
    free(open->text);
    free(open);
}

/* Whether the address is ours already under another kind or another way to write it: then a plain
 * bind would find it taken, by ourselves. */
static bool is_ours(const struct listeners *listeners, const struct address *address)
{
    if (address->as.any.sa_family == AF_UNIX)
        return false; /* bound to a file: no second socket */
    for (unsigned i = 0; i < listeners->count; i++)
        if (address_equal(&listeners->list[i]->address, address))
            return true;
    return false;
}

/* One more socket for what `open` listens on. A socket that was handed over has not been opened to
 * be shared, so workers accept from duplicates of it, as they do on Unix sockets: all of them wake
 * up for a connection, and those that come too late find nothing. */
static int open_next(const struct open_listen *open, struct error *error)
{
    if (open->inherited != NULL)
        return inherited_duplicate(open->inherited, error);
    if (open->address.as.any.sa_family != AF_UNIX)
        return listen_socket_share(&open->address, error);
    int fd = fcntl(open->fds[0], F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        error_set(error, "cannot listen on %s: %s", open->text, strerror(errno));
    return fd;
}

/* Takes `fd`, the first socket; opens those of the other workers. */
static struct open_listen *listen_new(struct listeners *listeners, const struct listen_spec *spec,
                                      int place, const struct address *address, int fd,
                                      struct error *error)
{
    struct open_listen *open = memory_new(sizeof(*open));
    unsigned count = spec->kind == LISTEN_STATUS ? 1 : listeners->workers;
    *open = (struct open_listen){.id = ++listeners->last_id,
                                 .kind = spec->kind,
                                 .text = slice_duplicate(slice_of(spec->text)),
                                 .place = place,
                                 .address = *address,
                                 .spec = spec,
                                 .inherited = inherited_find(listeners->inherited, address),
                                 .fds = memory_array(count, sizeof(int)),
                                 .fd_count = 1};
    open->fds[0] = fd;
    inherited_use(open->inherited);
    remember_socket_file(open);
    for (; open->fd_count < count; open->fd_count++) {
        fd = open_next(open, error);
        if (fd < 0) {
            listen_free(open);
            return NULL;
        }
        open->fds[open->fd_count] = fd;
    }
    return open;
}

/* --- plans -------------------------------------------------------------------------------------
 */

static struct open_listen *find_kept(struct listeners *listeners, const struct listen_spec *spec,
                                     int place)
{
    for (unsigned i = 0; i < listeners->count; i++) {
        struct open_listen *open = listeners->list[i];
        if (!open->is_planned && open->kind == spec->kind && open->place == place &&
            strcmp(open->text, spec->text) == 0)
            return open;
    }
    return NULL;
}

/* The first socket for one address of which something is here already: a socket that was handed
 * over, or one of ours. */
static int open_first_socket(struct listeners *listeners, struct address *address,
                             struct error *error)
{
    struct inherited_socket *inherited = inherited_find(listeners->inherited, address);
    if (inherited != NULL)
        return inherited_duplicate(inherited, error);
    if (is_ours(listeners, address))
        return listen_socket_share(address, error);
    return listen_socket_open(address, TRAFFIC_SOCKET_MODE, error);
}

/* The first socket of each of the addresses, whose real ports are written back. */
static bool open_first_sockets(struct listeners *listeners, struct address addresses[2], int count,
                               int fds[2], struct error *error)
{
    bool any_is_here = false;
    for (int i = 0; i < count; i++)
        any_is_here |= is_ours(listeners, &addresses[i]) ||
                       inherited_find(listeners->inherited, &addresses[i]) != NULL;
    if (!any_is_here && listen_sockets_open(addresses, count, TRAFFIC_SOCKET_MODE, fds, error))
        return true;
    for (int i = 0; any_is_here && i < count; i++) {
        fds[i] = open_first_socket(listeners, &addresses[i], error);
        any_is_here = fds[i] >= 0;
        if (!any_is_here)
            for (int k = 0; k < i; k++)
                close(fds[k]);
    }
    if (!any_is_here)
        inherited_explain(listeners->inherited, &addresses[0], error);
    return any_is_here;
}

/* How many sockets the addresses of `spec` need: one that was handed over may serve both families.
 */
static int count_needed(const struct listeners *listeners, const struct listen_spec *spec)
{
    const struct inherited_socket *first =
        inherited_find(listeners->inherited, &spec->addresses[0]);
    if (spec->address_count > 1 && first != NULL && inherited_covers(first, &spec->addresses[1]))
        return 1;
    return spec->address_count;
}

static bool open_spec(struct listeners *listeners, const struct listen_spec *spec,
                      struct open_listen *opened[2], struct error *error)
{
    struct address addresses[2] = {spec->addresses[0], spec->addresses[1]};
    int fds[2], count = count_needed(listeners, spec);
    if (!open_first_sockets(listeners, addresses, count, fds, error))
        return false;
    bool is_fine = true;
    for (int place = 0; place < count; place++) {
        opened[place] = listen_new(listeners, spec, place, &addresses[place], fds[place], error);
        is_fine = is_fine && opened[place] != NULL;
    }
    for (int place = 0; !is_fine && place < count; place++)
        if (opened[place] != NULL)
            listen_free(opened[place]);
    return is_fine;
}

static bool plan_spec(struct listeners *listeners, struct listen_plan *plan,
                      const struct listen_spec *spec, struct error *error)
{
    struct open_listen *found[2] = {find_kept(listeners, spec, 0), NULL};
    if (found[0] != NULL) {
        if (spec->address_count > 1)
            found[1] = find_kept(listeners, spec, 1);
    } else if (!open_spec(listeners, spec, found, error)) {
        return false;
    }
    for (int place = 0; place < spec->address_count && found[place] != NULL; place++) {
        found[place]->is_planned = true;
        found[place]->spec = spec;
        plan->list[plan->count++] = found[place];
    }
    return true;
}

struct listen_plan *listeners_plan(struct listeners *listeners, const struct snapshot *snapshot,
                                   struct error *error)
{
    struct listen_plan *plan = memory_new(sizeof(*plan));
    plan->list =
        memory_array((size_t)snapshot->globals->listen_count * 2 + 1, sizeof(struct open_listen *));
    for (unsigned i = 0; i < snapshot->globals->listen_count; i++) {
        const struct listen_spec *spec = &snapshot->globals->listens[i];
        if (spec->kind != LISTEN_ADMIN && !plan_spec(listeners, plan, spec, error)) {
            listeners_abandon(listeners, plan);
            return NULL;
        }
    }
    return plan;
}

static bool is_for_workers(const struct open_listen *open)
{
    return open->kind == LISTEN_HTTPS || open->kind == LISTEN_HTTP;
}

unsigned listen_plan_count(const struct listen_plan *plan)
{
    unsigned count = 0;
    for (unsigned i = 0; i < plan->count; i++)
        count += is_for_workers(plan->list[i]);
    return count;
}

void listen_plan_hand_over(struct listen_plan *plan, unsigned worker, struct worker_listen *into)
{
    for (unsigned i = 0; i < plan->count; i++) {
        struct open_listen *open = plan->list[i];
        if (!is_for_workers(open))
            continue;
        *into = (struct worker_listen){.id = open->id, .fd = -1, .spec = open->spec};
        if (open->fd_count > 0) {
            into->fd = open->fds[worker];
            open->fds[worker] = -1;
        }
        into++;
    }
}

static void plan_free(struct listen_plan *plan)
{
    free(plan->list);
    free(plan);
}

static bool is_in(struct open_listen *const *list, unsigned count, const struct open_listen *open)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == open)
            return true;
    return false;
}

void listeners_commit(struct listeners *listeners, struct listen_plan *plan)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (!listeners->list[i]->is_planned)
            listen_free(listeners->list[i]);
    free(listeners->list);
    listeners->list = plan->list;
    listeners->count = plan->count;
    plan->list = NULL;
    plan_free(plan);
    for (unsigned i = 0; i < listeners->count; i++) {
        struct open_listen *open = listeners->list[i];
        open->is_planned = false;
        if (is_for_workers(open))
            close_sockets(open); /* nothing but the array is left */
    }
    inherited_warn_unused(listeners->inherited);
}

void listeners_abandon(struct listeners *listeners, struct listen_plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++) {
        plan->list[i]->is_planned = false;
        if (!is_in(listeners->list, listeners->count, plan->list[i]))
            listen_free(plan->list[i]);
    }
    plan_free(plan);
}

/* --- all of them -------------------------------------------------------------------------------
 */

struct listeners *listeners_new(unsigned workers, struct inherited *inherited)
{
    struct listeners *listeners = memory_new(sizeof(*listeners));
    listeners->workers = workers;
    listeners->inherited = inherited;
    return listeners;
}

void listeners_free(struct listeners *listeners)
{
    if (listeners == NULL)
        return;
    for (unsigned i = 0; i < listeners->count; i++)
        listen_free(listeners->list[i]);
    free(listeners->list);
    free(listeners);
}

unsigned listeners_count(const struct listeners *listeners)
{
    return listeners->count;
}

struct open_listen *listeners_at(const struct listeners *listeners, unsigned index)
{
    assert(index < listeners->count);
    return listeners->list[index];
}

void listeners_print_json(const struct listeners *listeners, enum listen_kind kind,
                          struct buffer *out)
{
    const char *separator = "";
    buffer_append_text(out, "[");
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct open_listen *open = listeners->list[i];
        if (open->kind != kind || open->place > 0)
            continue;
        char text[ADDRESS_TEXT_SIZE];
        address_format(&open->address, text);
        buffer_append_text(out, separator);
        json_append_text(out, text);
        separator = ",";
    }
    buffer_append_text(out, "]");
}
