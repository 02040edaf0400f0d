/* One look at everything that is watched: what it is like now, and where inotify is to listen.
 *
 * A survey follows every path link by link from the root. Each folder on the way gets an inotify
 * watch before it is looked into, so that whatever changes after the look is an event. What is
 * found is summed up, kind by kind: two surveys whose sums are equal saw the same files.
 *
 * It calls stat and the like, so it may take as long as the slowest file system: not for a loop's
 * thread. It opens folders to list them, nothing else, and follows SURVEY_LINKS_MAX links a path
 * and SURVEY_DEPTH_MAX folders into each other. */
#ifndef CONTROL_WATCH_SURVEY_H
#define CONTROL_WATCH_SURVEY_H

#include "base/table.h"
#include "control/watcher.h"

#include <sys/inotify.h>

enum {
    SURVEY_LINKS_MAX = 40,
    SURVEY_DEPTH_MAX = 8,
    SURVEY_PLACES_MAX = 128 * 1024, /* folders and names in one survey */
    SURVEY_KINDS = 3,
};

struct watched_folder {
    char *path;       /* without links */
    bool has_content; /* written files in it count */
    int wd;           /* -1: inotify does not watch it */
    unsigned
        levels; /* how much further down its sub-folders are searched, plus one; 0: not whole */
};

struct watch_survey {
    /* what is asked; not owned */
    const struct watch_target *targets;
    size_t target_count;
    int inotify; /* -1: none */

    /* what was found */
    struct table folders;          /* by path */
    struct table names;            /* paths of single names that matter */
    struct watched_folder **by_wd; /* sorted; those that are watched */
    size_t watched_count;
    uint64_t sums[SURVEY_KINDS];
    int64_t newest_ms[SURVEY_KINDS]; /* the latest change, as the file systems' clocks tell */
    bool reached_limit;              /* the kernel allows no more watches */
};

void watch_survey_run(struct watch_survey *survey);
void watch_survey_clear(struct watch_survey *survey);

/* Whether the event tells of something that the survey looked at: whose name counts, in a folder
 * of certificates anything that may be one or may lead to one. An event of a folder that the survey
 * does not know is not its own. */
bool watch_survey_concerns(const struct watch_survey *survey, const struct inotify_event *event);

#endif
