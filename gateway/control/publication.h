/* One generation on its way to every worker. */
#ifndef CONTROL_PUBLICATION_H
#define CONTROL_PUBLICATION_H

#include "control/control.h"

struct publication;

/* Takes `plan` and the caller's reference of `snapshot`; sends both to every worker. `acknowledged`
 * is called, from the loop, after the last one runs it. */
struct publication *publication_start(struct control *control, struct snapshot *snapshot,
                                      struct listen_plan *plan, void (*acknowledged)(void *owner),
                                      void *owner);
/* After that: makes the plan what is listened on, frees the publication, and gives the reference of
 * the snapshot back. */
struct snapshot *publication_end(struct publication *publication);

#endif
