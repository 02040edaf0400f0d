/* Watches certificates, the route file and files of policies, and says when they have changed.
 *
 * inotify says where to look, a survey (control/watch_survey.h) what is different, and every
 * POLL_MS one is made without being told: network file systems and mounts that come over a folder
 * are silent. Surveys run on a helper thread, one at a time; a file system that hangs holds up
 * the watching and nothing else. A change is reported when two surveys QUIET_MS apart agree and no
 * event came meanwhile, LONGEST_MS after its first sign at the latest; what surveys cannot tell
 * from before is no change, whatever the events, and each is reported once.
 *
 * It holds one inotify watch and some 200 bytes for each folder that a path leads through or whose
 * certificates are served, and as much for each name of its own; SURVEY_PLACES_MAX of them at most
 * (about 25 MB, twice that during a survey). What goes beyond that, or beyond what the kernel
 * allows (a warning says so), is found by polling. */
#ifndef CONTROL_WATCHER_H
#define CONTROL_WATCHER_H

#include "net/loop.h"

enum watch_kind { WATCH_CERTS = 1, WATCH_ROUTE_FILE = 2, WATCH_SOURCES = 4 }; /* bits */

/* A file or folder, absolute; it need not be there. A folder of certificates is watched in the
 * layouts of certs/README.md, a single certificate with the .key and .ocsp beside it. */
struct watch_target {
    const char *path;
    enum watch_kind kind;
};

struct watch_times {
    unsigned quiet_ms, longest_ms, poll_ms;
};

struct watcher;

/* Watches nothing yet. `task` is woken when there is something to take. `times` NULL: as told.
 * Never fails: without inotify (a warning says so) it polls. */
struct watcher *watcher_new(struct loop *loop, struct task *task, const struct watch_times *times);

/* Waits a moment for a survey under way; one that hangs is left to end by itself. */
void watcher_free(struct watcher *watcher);

/* Watches these instead; copies them. What is watched from now on and has changed since `since_ms`
 * (clock_file_ms when its reading began; 0: never mind) counts as changed, so that nothing is lost
 * between reading and watching. The same targets again: nothing. */
void watcher_follow(struct watcher *watcher, const struct watch_target *targets, size_t count,
                    int64_t since_ms);

/* Bits of what has changed since it was last taken; 0: nothing, or it is not at rest yet. A file
 * mounted by itself that was replaced outside counts as changed once: its inode loses its name. */
unsigned watcher_take(struct watcher *watcher);

/* Everything is being watched, and nothing is going on. */
bool watcher_is_at_rest(const struct watcher *watcher);

#endif
