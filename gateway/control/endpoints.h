/* The admin socket and the status addresses: small HTTP answers about the gateway, from its control
 * thread. */
#ifndef CONTROL_ENDPOINTS_H
#define CONTROL_ENDPOINTS_H

#include "control/control.h"

struct endpoints *endpoints_new(struct control *control);
/* After endpoints_close, with nothing left. */
void endpoints_free(struct endpoints *endpoints);

/* Opens what `listen.admin` names, or the first of the usual places that can be written: if none
 * can, or it is taken, that is a warning. False only when a named one cannot be had. */
bool endpoints_open_admin(struct endpoints *endpoints, const struct snapshot *snapshot,
                          struct error *error);
/* Says so if the new generation would have the admin socket somewhere else. */
void endpoints_warn_if_admin_moved(struct endpoints *endpoints, const struct snapshot *snapshot);
/* "unix:/path" of the first admin socket, or NULL. */
const char *endpoints_admin_address(const struct endpoints *endpoints);
/* The admin socket's file, to be removed whatever happens, or NULL. */
const char *endpoints_admin_path(const struct endpoints *endpoints);

/* Serves the status addresses that the control's listeners now hold, and no others. */
void endpoints_follow(struct endpoints *endpoints);

/* Accepts no more; idle connections close, the others after their answer. The control's task is
 * woken when none is left. */
void endpoints_close(struct endpoints *endpoints);
bool endpoints_are_empty(const struct endpoints *endpoints);
/* Closes what is left at once. */
void endpoints_cut(struct endpoints *endpoints);

#endif
