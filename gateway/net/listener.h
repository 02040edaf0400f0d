/* A listening socket on one loop: hands over accepted sockets, pauses when told or out of fds. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

struct listener;

struct accepted {
    int fd; /* non-blocking, close-on-exec; TCP_NODELAY set */
    struct address peer, local;
};

/* --- sockets: opened by the control thread, one per worker and address ---------------------- */

/* Fails, with the address and the reason in words, when anyone holds the port (SO_REUSEPORT would
 * hide that, so the first socket is bound without it), may not be bound, or does not exist here.
 * Writes the address with its real port back. Returns the first socket, which is listening; the
 * others come from listen_socket_share. -1 on error. `unix:` sockets get `mode`; a dead one is
 * replaced, a live one refused. */
int listen_socket_open(struct address *address, unsigned mode, struct error *error);
/* The same for the `count` addresses of listen_address_parse: all or none. Port 0 becomes the same
 * port for all of them. Writes the sockets to `fds`; false on error. */
bool listen_sockets_open(struct address *addresses, int count, unsigned mode, int *fds,
                         struct error *error);
/* One more socket on the same TCP address (SO_REUSEPORT). */
int listen_socket_share(const struct address *address, struct error *error);

/* --- accepting ------------------------------------------------------------------------------ */

/* Takes `fd`, a listening socket. `on_accept` is called from a patient task of the listener, never
 * from inside another call, with each accepted socket, which it takes. */
struct listener *listener_new(struct loop *loop, int fd,
                              void (*on_accept)(void *owner, const struct accepted *accepted),
                              void *owner);
/* Takes it. A task of its own, woken here and not patient, accepts everything that the kernel has
 * queued and closes the socket in one run: a task that is woken after this call finds all of it
 * handed over. */
void listener_close(struct listener *listener);

/* True while accepting is paused because of EMFILE and the like. It is tried again every 100 ms;
 * one event line says that it paused, one that the queue could be emptied again. */
bool listener_is_paused(const struct listener *listener);

#endif
