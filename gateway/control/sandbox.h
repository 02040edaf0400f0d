/* What the process may ask of the kernel once it has started: a filter of system calls, and no way
 * for others to read its memory, which holds private keys. Nothing in builds with a sanitizer,
 * whose runtimes ask for more. */
#ifndef CONTROL_SANDBOX_H
#define CONTROL_SANDBOX_H

#include "base/error.h"

#include <stdbool.h>

/* Before any thread is started and after privileges_drop. A kernel without seccomp is a warning:
 * the gateway serves all the same. */
void sandbox_enter(void);

/* The filter alone, for this thread and all that it has and starts. It cannot be taken off again.
 */
bool sandbox_filter(struct error *error);

/* Whether this build has a sandbox. */
bool sandbox_is_built(void);

/* Builds with a sanitizer look for leaks by tracing themselves, which a change of user would rule
 * out; nothing in others. */
void sandbox_allow_leak_check(void);

#endif
