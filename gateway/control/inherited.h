/* Listening sockets that a service manager opened and handed over (LISTEN_FDS, sd_listen_fds(3)).
 *
 * They are held for as long as the gateway lives, whether a generation listens on them or not: who
 * connects waits in their queue until one does, or until the next gateway does. Listeners accept
 * from duplicates. */
#ifndef CONTROL_INHERITED_H
#define CONTROL_INHERITED_H

#include "base/error.h"
#include "net/address.h"

struct inherited;
struct inherited_socket;

/* Reads LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES and removes them from the environment: before any
 * thread is started. What is no listening stream socket is left alone, with a warning. NULL: there
 * is none for this process. */
struct inherited *inherited_new(void);
/* Closes them; the manager has its own. */
void inherited_free(struct inherited *inherited);

/* The socket that listens on exactly this address, or NULL: so if `inherited` is. */
struct inherited_socket *inherited_find(struct inherited *inherited, const struct address *address);
/* Whether it also takes what comes to `address`, a wildcard of the other family. */
bool inherited_covers(const struct inherited_socket *socket, const struct address *address);
/* Adds to an error about `address`, which cannot be bound, that a socket of the same port is here.
 */
void inherited_explain(const struct inherited *inherited, const struct address *address,
                       struct error *error);

/* A descriptor of its own for one who accepts from it; -1 on error. */
int inherited_duplicate(const struct inherited_socket *socket, struct error *error);
/* Somebody listens on it, or not any more. NULL: nothing. */
void inherited_use(struct inherited_socket *socket);
void inherited_release(struct inherited_socket *socket);
/* Warns of those that nobody listens on, of each once until somebody has. */
void inherited_warn_unused(struct inherited *inherited);

#endif
