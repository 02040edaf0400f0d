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

/* --- sockets: opened by the control thread, one per worker and address ------------------------- */

/* Fails, with the address and the reason in words, when anyone holds the port (SO_REUSEPORT would
 * hide that, so a plain bind is tried first), may not be bound, or does not exist here. Writes the
 * address with its real port back. Returns the first socket, which is listening; the others come from
 * listen_socket_share. -1 on error. `unix:` sockets get `mode`; a dead one is replaced, a live one
 * refused. */
int listen_socket_open(struct address *address, unsigned mode, struct error *error);
/* One more socket on the same TCP address (SO_REUSEPORT). */
int listen_socket_share(const struct address *address, struct error *error);

/* --- accepting ---------------------------------------------------------------------------------- */

/* Takes `fd`, a listening socket. `on_accept` is called from a task of the listener, never from
 * inside another call, with each accepted socket, which it takes. */
struct listener *listener_new(struct loop *loop, int fd,
                              void (*on_accept)(void *owner, const struct accepted *accepted),
                              void *owner);
/* Accepts everything that the kernel has queued, then closes. The object is freed after the round. */
void listener_close(struct listener *listener);

/* True while accepting is paused because of EMFILE and the like (it resumes by itself as sockets are
 * closed or after 100 ms); the first pause writes one event line. */
bool listener_is_paused(const struct listener *listener);

#endif
