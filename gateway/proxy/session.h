/* An accepted socket to its end: handshake, then one exchange after the other. */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "net/listener.h"
#include "proxy/proxy_env.h"

struct session;

/* Takes the socket. `listener` is what the worker calls the one that it came from. */
void session_start(struct proxy_env *env, const struct listen_spec *listen, unsigned listener,
                   const struct accepted *accepted);

/* A newer generation is there: handshakes that have not begun go on with it. */
void sessions_leave_pin(struct proxy_env *env, struct pin *pin);

/* env->is_draining was set: closes what is idle, lets the rest finish. */
void sessions_drain(struct proxy_env *env);
/* Cuts them all. */
void sessions_cut(struct proxy_env *env);

#endif
