/* The access log's one writer: a thread that empties every worker's ring in large pieces.
 *
 * Only this thread ever waits for whoever reads the log; meanwhile the rings fill, drop and count.
 */
#ifndef CONTROL_ACCESS_WRITER_H
#define CONTROL_ACCESS_WRITER_H

#include "base/error.h"
#include "base/line_ring.h"
#include "config/snapshot.h"

struct access_writer;

/* Where lines go. A file is opened by access_target_open and taken by access_writer_switch. */
struct access_target {
    enum access_log kind;
    char *path; /* FILE, owned */
    int fd;     /* FILE */
};

/* Opens the file if there is one to open, for appending. False, with the reason, if it cannot be.
 */
bool access_target_open(struct access_target *target, enum access_log kind, const char *path,
                        struct error *error);
void access_target_close(struct access_target *target);

/* Starts the thread, writing nowhere yet. Borrows the rings. */
struct access_writer *access_writer_start(struct line_ring *const *rings, unsigned count,
                                          struct error *error);
/* Takes what `target` holds; lines in the rings go there from now on. Never waits. */
void access_writer_switch(struct access_writer *writer, struct access_target *target);
/* Opens the file anew under its name: it was rotated. */
void access_writer_reopen(struct access_writer *writer);
/* Writes out what the rings hold, for at most a second, then ends the thread and frees it. */
void access_writer_stop(struct access_writer *writer);

/* Lines that never reached the log: dropped by a ring or failed to be written. */
uint64_t access_writer_lost(const struct access_writer *writer);

#endif
