/* Calls of the gateway that fail or are short, as a test says while it runs: see support/faults.h.
 */
#ifndef E2E_FAULT_BOARD_H
#define E2E_FAULT_BOARD_H

#include "support/faults.h"

#include <stdbool.h>

/* Without faults; for gateway_options.faults. Lives until the test ends. */
struct faults *fault_board(void);
/* The file that it is mapped to. */
const char *fault_board_path(void);
/* What the gateway loads for it, beside the gateway's own build. NULL: it can load none. */
const char *fault_library(void);

/* So many of a million calls fail with that errno from now on. */
void fault_set(struct faults *faults, enum fault fault, unsigned per_million, int error);
/* So many of a million calls (recv, send) move that many bytes at most. */
void fault_shorten(struct faults *faults, enum fault fault, unsigned per_million, unsigned bytes);
void fault_end(struct faults *faults, enum fault fault);
/* How often it has struck. */
unsigned long fault_strikes(struct faults *faults, enum fault fault);

#endif
