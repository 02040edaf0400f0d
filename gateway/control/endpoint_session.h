/* One connection to the admin socket or a status address, from its first request to its end. */
#ifndef CONTROL_ENDPOINT_SESSION_H
#define CONTROL_ENDPOINT_SESSION_H

#include "control/control.h"

struct endpoint_session;

/* Takes `fd`. `gone` is called once, as the session ends itself. NULL: no memory. */
struct endpoint_session *
endpoint_session_new(struct control *control, int fd, bool is_admin,
                     void (*gone)(void *owner, struct endpoint_session *session), void *owner);
/* Ends after the answer under way, at once if there is none. */
void endpoint_session_finish(struct endpoint_session *session);
/* Ends at once; `gone` is called. */
void endpoint_session_cut(struct endpoint_session *session);

bool endpoint_session_is_admin(const struct endpoint_session *session);
/* The owner's list. */
struct list_node *endpoint_session_node(struct endpoint_session *session);
struct endpoint_session *endpoint_session_of(struct list_node *node);

#endif
