#include "control/endpoints.h"

#include "base/log.h"
#include "control/admin_places.h"
#include "control/endpoint_session.h"
#include "control/generations.h"
#include "net/listener.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ADMIN_MAX = 4,     /* sockets in listen.admin */
    SESSIONS_MAX = 64, /* open connections, of each kind */
};

/* One listening address, and the sessions that came from it. */
struct entrance {
    struct endpoints *endpoints;
    struct list_node node;
    struct listener *listener; /* NULL: closed, sessions are left */
    unsigned id;               /* of the listener it serves; admin: 0 */
    bool is_admin;
};

struct admin_socket {
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    dev_t device;
    ino_t inode;
};

struct endpoints {
    struct control *control;
    struct list listening;      /* entrance */
    struct list sessions;       /* endpoint_session */
    unsigned session_counts[2]; /* by is_admin */
    struct admin_socket admin[ADMIN_MAX];
    unsigned admin_count;
    bool is_closing;
};

struct endpoints *endpoints_new(struct control *control)
{
    struct endpoints *endpoints = memory_new(sizeof(*endpoints));
    endpoints->control = control;
    list_init(&endpoints->listening);
    list_init(&endpoints->sessions);
    return endpoints;
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static void forget_session(void *owner, struct endpoint_session *session)
{
    struct endpoints *endpoints = owner;
    list_remove(endpoint_session_node(session));
    endpoints->session_counts[endpoint_session_is_admin(session)]--;
    loop_wake(endpoints->control->loop, &endpoints->control->task);
}

static void accept_session(void *owner, const struct accepted *accepted)
{
    struct entrance *entrance = owner;
    struct endpoints *endpoints = entrance->endpoints;
    if (endpoints->session_counts[entrance->is_admin] >= SESSIONS_MAX) {
        log_event(LOG_DEBUG, "endpoint_full", "a connection was closed: %d are open already",
                  SESSIONS_MAX);
        close(accepted->fd);
        return;
    }
    struct endpoint_session *session = endpoint_session_new(
        endpoints->control, accepted->fd, entrance->is_admin, forget_session, endpoints);
    if (session == NULL)
        return;
    endpoints->session_counts[entrance->is_admin]++;
    list_push_back(&endpoints->sessions, endpoint_session_node(session));
    if (endpoints->is_closing)
        endpoint_session_finish(session);
}

/* --- listening ---------------------------------------------------------------------------------
 */

static void listen_on(struct endpoints *endpoints, int fd, unsigned id, bool is_admin)
{
    struct entrance *entrance = memory_new(sizeof(*entrance));
    entrance->endpoints = endpoints;
    entrance->id = id;
    entrance->is_admin = is_admin;
    entrance->listener = listener_new(endpoints->control->loop, fd, accept_session, entrance);
    list_push_back(&endpoints->listening, &entrance->node);
}

/* A closing listener still hands over what the kernel has queued: the entrance goes last of all. */
static void stop_listening(struct entrance *entrance)
{
    if (entrance->listener != NULL)
        listener_close(entrance->listener);
    entrance->listener = NULL;
}

static bool is_listened_on(const struct endpoints *endpoints, unsigned id)
{
    list_each (&endpoints->listening, node) {
        const struct entrance *entrance = container_of(node, struct entrance, node);
        if (!entrance->is_admin && entrance->listener != NULL && entrance->id == id)
            return true;
    }
    return false;
}

static bool is_wanted(const struct listeners *listeners, unsigned id)
{
    for (unsigned i = 0; i < listeners_count(listeners); i++)
        if (listeners_at(listeners, i)->id == id)
            return true;
    return false;
}

void endpoints_follow(struct endpoints *endpoints)
{
    struct listeners *listeners = endpoints->control->listeners;
    list_each (&endpoints->listening, node) {
        struct entrance *entrance = container_of(node, struct entrance, node);
        if (!entrance->is_admin && !is_wanted(listeners, entrance->id))
            stop_listening(entrance);
    }
    for (unsigned i = 0; i < listeners_count(listeners); i++) {
        struct open_listen *open = listeners_at(listeners, i);
        if (open->kind != LISTEN_STATUS || is_listened_on(endpoints, open->id))
            continue;
        assert(open->fd_count == 1 && open->fds[0] >= 0);
        listen_on(endpoints, open->fds[0], open->id, false);
        open->fds[0] = -1;
    }
}

/* --- the admin socket --------------------------------------------------------------------------
 */

static bool open_admin_socket(struct endpoints *endpoints, const struct address *address,
                              struct error *error)
{
    if (endpoints->admin_count == ADMIN_MAX) {
        error_set(error, "listen.admin names more than %d sockets", ADMIN_MAX);
        return false;
    }
    struct admin_socket *admin = &endpoints->admin[endpoints->admin_count];
    *admin = (struct admin_socket){.address = *address};
    /* A socket that was handed over, its file and who may use it are its owner's business. */
    struct inherited_socket *inherited = inherited_find(endpoints->control->inherited, address);
    int fd = inherited != NULL ? inherited_duplicate(inherited, error)
                               : listen_socket_open(&admin->address, 0600, error);
    if (fd < 0)
        return false;
    inherited_use(inherited);
    struct stat file;
    if (inherited == NULL && address->as.any.sa_family == AF_UNIX &&
        stat(address->as.local.sun_path, &file) == 0) {
        admin->device = file.st_dev;
        admin->inode = file.st_ino;
    }
    address_format(&admin->address, admin->text);
    endpoints->admin_count++;
    listen_on(endpoints, fd, 0, true);
    return true;
}

/* Where a socket was handed over, else where one can be made. NULL: nowhere. */
static const struct admin_place *choose_place(const struct endpoints *endpoints,
                                              struct admin_place places[ADMIN_PLACES_MAX])
{
    unsigned count = admin_places(places);
    for (unsigned i = 0; i < count; i++) {
        struct address addresses[2];
        if (listen_address_parse(slice_of(places[i].address), addresses, NULL) == 1 &&
            inherited_find(endpoints->control->inherited, &addresses[0]) != NULL)
            return &places[i];
    }
    return admin_place_choose(places, count);
}

static void open_admin_by_default(struct endpoints *endpoints)
{
    struct admin_place places[ADMIN_PLACES_MAX];
    const struct admin_place *place = choose_place(endpoints, places);
    if (place == NULL) {
        log_event(
            LOG_WARN, "no_admin",
            "no folder for an admin socket can be written, so `sallyport reload` will not work "
            "(SIGHUP does): make /run/sallyport writable or set listen.admin");
        return;
    }
    struct address addresses[2];
    struct error error;
    if (listen_address_parse(slice_of(place->address), addresses, &error) != 1 ||
        !open_admin_socket(endpoints, &addresses[0], &error))
        log_event(LOG_WARN, "no_admin", "no admin socket (SIGHUP still reloads): %s",
                  error.message);
}

bool endpoints_open_admin(struct endpoints *endpoints, const struct snapshot *snapshot,
                          struct error *error)
{
    if (!snapshot->globals->admin_is_named) {
        open_admin_by_default(endpoints);
        return true;
    }
    for (unsigned i = 0; i < snapshot->globals->listen_count; i++) {
        const struct listen_spec *spec = &snapshot->globals->listens[i];
        for (int k = 0; spec->kind == LISTEN_ADMIN && k < spec->address_count; k++)
            if (!open_admin_socket(endpoints, &spec->addresses[k], error))
                return false;
    }
    return true;
}

void endpoints_warn_if_admin_moved(struct endpoints *endpoints, const struct snapshot *snapshot)
{
    const struct snapshot *now = generations_current(endpoints->control->generations);
    bool is_same = now->globals->admin_is_named == snapshot->globals->admin_is_named;
    unsigned named = 0;
    for (unsigned i = 0; i < snapshot->globals->listen_count; i++) {
        const struct listen_spec *spec = &snapshot->globals->listens[i];
        for (int k = 0; spec->kind == LISTEN_ADMIN && k < spec->address_count; k++, named++)
            is_same = is_same && named < endpoints->admin_count &&
                      address_equal(&endpoints->admin[named].address, &spec->addresses[k]);
    }
    if (snapshot->globals->admin_is_named)
        is_same = is_same && named == endpoints->admin_count;
    if (!is_same)
        log_event(LOG_WARN, "admin_moved",
                  "listen.admin has changed; that takes effect at the next restart");
}

const char *endpoints_admin_address(const struct endpoints *endpoints)
{
    return endpoints->admin_count > 0 ? endpoints->admin[0].text : NULL;
}

const char *endpoints_admin_path(const struct endpoints *endpoints)
{
    if (endpoints->admin_count == 0 || endpoints->admin[0].inode == 0)
        return NULL;
    return endpoints->admin[0].address.as.local.sun_path;
}

static void remove_admin_sockets(struct endpoints *endpoints)
{
    for (unsigned i = 0; i < endpoints->admin_count; i++) {
        const struct admin_socket *admin = &endpoints->admin[i];
        struct stat file;
        /* Only our own: somebody may have put another one in its place. */
        if (admin->inode != 0 && stat(admin->address.as.local.sun_path, &file) == 0 &&
            file.st_dev == admin->device && file.st_ino == admin->inode)
            unlink(admin->address.as.local.sun_path);
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

void endpoints_close(struct endpoints *endpoints)
{
    if (endpoints->is_closing)
        return;
    endpoints->is_closing = true;
    list_each (&endpoints->listening, node)
        stop_listening(container_of(node, struct entrance, node));
    list_each (&endpoints->sessions, node)
        endpoint_session_finish(endpoint_session_of(node));
    remove_admin_sockets(endpoints);
}

bool endpoints_are_empty(const struct endpoints *endpoints)
{
    return list_is_empty(&endpoints->sessions);
}

void endpoints_cut(struct endpoints *endpoints)
{
    list_each (&endpoints->sessions, node)
        endpoint_session_cut(endpoint_session_of(node));
}

void endpoints_free(struct endpoints *endpoints)
{
    if (endpoints == NULL)
        return;
    assert(list_is_empty(&endpoints->sessions));
    list_each (&endpoints->listening, node) {
        list_remove(node);
        free(container_of(node, struct entrance, node));
    }
    free(endpoints);
}
