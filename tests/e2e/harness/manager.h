/* A stand-in for the service manager: it receives what the gateway tells it and checks every
 * message, its sender and the order. */
#ifndef E2E_MANAGER_H
#define E2E_MANAGER_H

#include "gateway_process.h"

struct manager;

/* Listens at TMP/NAME, or in the abstract namespace when `name` begins with '@'. */
struct manager *manager_new(const char *name);
/* "NOTIFY_SOCKET=…", for the gateway's environment. */
const char *manager_setting(struct manager *manager);
/* From here on messages must come from this gateway's process. */
void manager_watch(struct manager *manager, struct gateway *gateway);

/* From here on no RELOADING=1 may be of an earlier time, as after the SIGHUP of a manager. */
void manager_note_time(struct manager *manager);

/* The next message, waited for; lives until the test ends. */
char *manager_receive(struct manager *manager);
/* Fails the test unless the next message is this one, line by line; `*` at the end of a line stands
 * for anything but nothing. */
void manager_expect(struct manager *manager, const char *message);
/* Fails the test if one is there. */
void manager_expect_silence(struct manager *manager);

#endif
