#include "control/watch_survey.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder's own changes, and those of names in it. Content counts where watched files lie. */
enum {
    PLACE_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD,
    CONTENT_EVENTS = PLACE_EVENTS | IN_MODIFY | IN_CLOSE_WRITE,
};

/* A path on its way to what it names. */
struct walk {
    char at[PATH_MAX];   /* how far it has come: no links in it; "" is the root */
    char todo[PATH_MAX]; /* what is left to go */
    unsigned links;
    struct stat status; /* of `at` */
};

static unsigned index_of(enum watch_kind kind)
{
    return kind == WATCH_CERTS ? 0 : kind == WATCH_ROUTE_FILE ? 1 : 2;
}

/* --- sums --------------------------------------------------------------------------------------
 */

static void note_moment(struct watch_survey *survey, enum watch_kind kind,
                        const struct stat *status)
{
    int64_t changed_ms = status->st_ctim.tv_sec * 1000LL + status->st_ctim.tv_nsec / 1000000;
    if (changed_ms > survey->newest_ms[index_of(kind)])
        survey->newest_ms[index_of(kind)] = changed_ms;
}

/* Independent of the order in which folders list their files. */
static void add_to_sum(struct watch_survey *survey, enum watch_kind kind, const char *path,
                       const struct stat *status)
{
    /* A folder changes with every file in it, whichever. */
    bool is_folder = S_ISDIR(status->st_mode);
    const uint64_t values[] = {
        hash_bytes(slice_of(path)),
        status->st_dev,
        status->st_ino,
        status->st_mode,
        is_folder ? 0 : (uint64_t)status->st_size,
        is_folder ? 0 : (uint64_t)status->st_mtim.tv_sec,
        is_folder ? 0 : (uint64_t)status->st_mtim.tv_nsec,
        is_folder ? 0 : (uint64_t)status->st_ctim.tv_sec,
        is_folder ? 0 : (uint64_t)status->st_ctim.tv_nsec,
    };
    survey->sums[index_of(kind)] += hash_bytes(slice_make((const char *)values, sizeof(values)));
    note_moment(survey, kind, status);
}

static void add_failure_to_sum(struct watch_survey *survey, enum watch_kind kind, const char *path,
                               int failure)
{
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof(line), "%s !%d", path, failure);
    survey->sums[index_of(kind)] += hash_bytes(slice_make(line, (size_t)length));
}

/* --- places ------------------------------------------------------------------------------------
 */

static bool may_be_certificate(const char *name)
{
    static const char *const suffixes[] = {".pem", ".crt", ".key", ".ocsp"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (slice_ends_with(slice_of(name), slice_of(suffixes[i])))
            return true;
    return false;
}

static bool has_room(const struct watch_survey *survey)
{
    return survey->folders.count + survey->names.count < SURVEY_PLACES_MAX;
}

static void listen_at(struct watch_survey *survey, struct watched_folder *folder, uint32_t events)
{
    const char *path = folder->path[0] != '\0' ? folder->path : "/";
    int wd = survey->inotify >= 0 ? inotify_add_watch(survey->inotify, path, events) : -1;
    if (wd >= 0)
        folder->wd = wd;
    else if (survey->inotify >= 0 && errno == ENOSPC)
        survey->reached_limit = true;
}

/* NULL when there is no room for more: then polling finds what changes in there. */
static struct watched_folder *add_folder(struct watch_survey *survey, const char *path,
                                         bool with_content)
{
    struct watched_folder *folder = table_get(&survey->folders, slice_of(path));
    if (folder == NULL) {
        if (!has_room(survey))
            return NULL;
        folder = memory_new(sizeof(*folder));
        folder->path = slice_duplicate(slice_of(path));
        folder->wd = -1;
        folder->has_content = with_content;
        table_put(&survey->folders, slice_of(folder->path), folder);
        listen_at(survey, folder, with_content ? CONTENT_EVENTS : PLACE_EVENTS);
    } else if (with_content && !folder->has_content) {
        folder->has_content = true;
        listen_at(survey, folder, CONTENT_EVENTS);
    }
    return folder;
}

static void add_name(struct watch_survey *survey, const char *path)
{
    if (!has_room(survey) || table_get(&survey->names, slice_of(path)) != NULL)
        return;
    char *name = slice_duplicate(slice_of(path));
    table_put(&survey->names, slice_of(name), name);
}

/* --- walking -----------------------------------------------------------------------------------
 */

static void leave_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* `at` is a path; it gets NAME behind it. False when that is too long. */
static bool append_part(char at[PATH_MAX], const char *name)
{
    size_t length = strlen(at), more = strlen(name);
    if (length + 1 + more >= PATH_MAX)
        return false;
    at[length] = '/';
    memcpy(at + length + 1, name, more + 1);
    return true;
}

/* Takes the next part off what is left. False at the end. */
static bool next_part(struct walk *walk, char part[NAME_MAX + 1])
{
    char *todo = walk->todo + strspn(walk->todo, "/");
    size_t length = strcspn(todo, "/");
    if (length == 0 || length > NAME_MAX)
        return false;
    memcpy(part, todo, length);
    part[length] = '\0';
    memmove(walk->todo, todo + length, strlen(todo + length) + 1);
    return true;
}

/* What is left is where the link leads, and then what was left. */
static bool follow_link(struct walk *walk)
{
    char target[PATH_MAX];
    ssize_t length = readlink(walk->at, target, sizeof(target) - 1);
    if (length <= 0 || ++walk->links > SURVEY_LINKS_MAX ||
        (size_t)length + 1 + strlen(walk->todo) >= sizeof(walk->todo))
        return false;
    target[length] = '\0';
    memmove(walk->todo + length, walk->todo, strlen(walk->todo) + 1);
    memcpy(walk->todo, target, (size_t)length);
    if (target[0] == '/')
        walk->at[0] = '\0';
    else
        leave_last(walk->at);
    return true;
}

static bool is_at_end(const struct walk *walk)
{
    return walk->todo[strspn(walk->todo, "/")] == '\0';
}

/* What is not there may have gone a moment ago: the folder that it is not in knows when. */
static void miss_part(struct watch_survey *survey, enum watch_kind kind, struct walk *walk,
                      int failure)
{
    add_failure_to_sum(survey, kind, walk->at, failure);
    leave_last(walk->at);
    if (lstat(walk->at[0] != '\0' ? walk->at : "/", &walk->status) == 0)
        note_moment(survey, kind, &walk->status);
}

/* Goes one part further; `walk->status` is of where it leads to. */
static bool take_part(struct watch_survey *survey, enum watch_kind kind, struct walk *walk,
                      const char *part)
{
    struct watched_folder *folder = add_folder(survey, walk->at, is_at_end(walk));
    bool is_whole = folder != NULL && folder->levels > 0;
    if (!append_part(walk->at, part))
        return false;
    if (!is_whole || part[0] == '.' || !may_be_certificate(part))
        add_name(survey, walk->at);
    if (lstat(walk->at, &walk->status) != 0) {
        miss_part(survey, kind, walk, errno);
        return false;
    }
    if (!S_ISLNK(walk->status.st_mode))
        return true;
    add_to_sum(survey, kind, walk->at, &walk->status);
    return follow_link(walk);
}

/* Whether there is something at the end of the path; then `at` and `status` are its own. */
static bool go(struct watch_survey *survey, enum watch_kind kind, struct walk *walk)
{
    char part[NAME_MAX + 1];
    bool has_status = false;
    while (next_part(walk, part)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            leave_last(walk->at);
            has_status = false;
        } else if (take_part(survey, kind, walk, part)) {
            has_status = !S_ISLNK(walk->status.st_mode);
        } else {
            return false;
        }
    }
    return is_at_end(walk) &&
           (has_status || lstat(walk->at[0] != '\0' ? walk->at : "/", &walk->status) == 0);
}

static void search_folder(struct watch_survey *survey, const char *path, unsigned levels,
                          unsigned depth);

/* The short way to what is neither folder nor link, which is most of what is there. */
static bool is_plain_file(DIR *dir, const struct dirent *entry, struct walk *walk)
{
    return entry->d_type == DT_REG &&
           fstatat(dirfd(dir), entry->d_name, &walk->status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(walk->status.st_mode) && append_part(walk->at, entry->d_name);
}

/* What a folder of certificates holds: `walk->at` is the folder. */
static void search_entry(struct watch_survey *survey, struct walk *walk, const char *name,
                         unsigned levels, unsigned depth)
{
    snprintf(walk->todo, sizeof(walk->todo), "%s", name);
    if (!go(survey, WATCH_CERTS, walk))
        return;
    if (!S_ISDIR(walk->status.st_mode)) {
        if (may_be_certificate(name))
            add_to_sum(survey, WATCH_CERTS, walk->at, &walk->status);
    } else if (levels > 0) {
        add_to_sum(survey, WATCH_CERTS, walk->at, &walk->status);
        search_folder(survey, walk->at, strcmp(name, "live") == 0 ? levels : levels - 1, depth + 1);
    }
}

static bool may_matter(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN ||
            may_be_certificate(entry->d_name));
}

static void search_folder(struct watch_survey *survey, const char *path, unsigned levels,
                          unsigned depth)
{
    struct watched_folder *folder = add_folder(survey, path, true);
    if (depth > SURVEY_DEPTH_MAX || (folder != NULL && folder->levels > levels))
        return;
    if (folder != NULL)
        folder->levels = levels + 1;
    DIR *dir = opendir(path[0] != '\0' ? path : "/");
    if (dir == NULL) {
        add_failure_to_sum(survey, WATCH_CERTS, path, errno);
        return;
    }
    struct walk *walk = memory_new(sizeof(*walk));
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (!may_matter(entry))
            continue;
        walk->links = 0;
        memcpy(walk->at, path, strlen(path) + 1);
        if (is_plain_file(dir, entry, walk))
            add_to_sum(survey, WATCH_CERTS, walk->at, &walk->status);
        else
            search_entry(survey, walk, entry->d_name, levels, depth);
    }
    free(walk);
    closedir(dir);
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static void look_at_file(struct watch_survey *survey, enum watch_kind kind, const char *path,
                         const char *suffix)
{
    const char *name = strrchr(path, '/');
    const char *dot = name != NULL ? strrchr(name, '.') : NULL;
    int length = (int)(dot != NULL ? dot - path : (ptrdiff_t)strlen(path));
    struct walk *walk = memory_new(sizeof(*walk));
    snprintf(walk->todo, sizeof(walk->todo), "%.*s%s", length, path, suffix);
    if (go(survey, kind, walk))
        add_to_sum(survey, kind, walk->at, &walk->status);
    free(walk);
}

static void look_at(struct watch_survey *survey, const struct watch_target *target)
{
    struct walk *walk = memory_new(sizeof(*walk));
    snprintf(walk->todo, sizeof(walk->todo), "%s", target->path);
    bool is_there = go(survey, target->kind, walk);
    if (is_there)
        add_to_sum(survey, target->kind, walk->at, &walk->status);
    if (target->kind == WATCH_CERTS) {
        if (is_there && S_ISDIR(walk->status.st_mode)) {
            search_folder(survey, walk->at, 1, 0);
        } else {
            look_at_file(survey, target->kind, target->path, ".key");
            look_at_file(survey, target->kind, target->path, ".ocsp");
        }
    }
    free(walk);
}

static int compare_wds(const void *a, const void *b)
{
    const struct watched_folder *const *left = a, *const *right = b;
    return ((*left)->wd > (*right)->wd) - ((*left)->wd < (*right)->wd);
}

static void sort_by_wd(struct watch_survey *survey)
{
    size_t position = 0;
    struct table_entry *entry;
    survey->by_wd = memory_array(survey->folders.count + 1, sizeof(struct watched_folder *));
    while ((entry = table_next(&survey->folders, &position)) != NULL) {
        struct watched_folder *folder = entry->value;
        if (folder->wd >= 0)
            survey->by_wd[survey->watched_count++] = folder;
    }
    qsort(survey->by_wd, survey->watched_count, sizeof(struct watched_folder *), compare_wds);
}

void watch_survey_run(struct watch_survey *survey)
{
    for (size_t i = 0; i < survey->target_count; i++)
        look_at(survey, &survey->targets[i]);
    sort_by_wd(survey);
}

void watch_survey_clear(struct watch_survey *survey)
{
    size_t position = 0;
    struct table_entry *entry;
    while ((entry = table_next(&survey->folders, &position)) != NULL) {
        struct watched_folder *folder = entry->value;
        free(folder->path);
        free(folder);
    }
    for (position = 0; (entry = table_next(&survey->names, &position)) != NULL;)
        free(entry->value);
    table_clear(&survey->folders);
    table_clear(&survey->names);
    free(survey->by_wd);
    survey->by_wd = NULL;
    survey->watched_count = 0;
}

/* --- events ------------------------------------------------------------------------------------
 */

/* Names whose content does not count may still come, go, or lead to a folder. */
static bool concerns_whole(const struct inotify_event *event)
{
    const uint32_t appears = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
    return event->name[0] != '.' &&
           (may_be_certificate(event->name) || (event->mask & (IN_ISDIR | appears)));
}

static bool concerns_folder(const struct watch_survey *survey, const struct watched_folder *folder,
                            const struct inotify_event *event)
{
    char path[PATH_MAX + NAME_MAX + 2];
    if (event->len == 0 || event->name[0] == '\0')
        return true; /* the folder's own */
    if (folder->levels > 0 && concerns_whole(event))
        return true;
    snprintf(path, sizeof(path), "%s/%s", folder->path, event->name);
    return table_get(&survey->names, slice_of(path)) != NULL;
}

bool watch_survey_concerns(const struct watch_survey *survey, const struct inotify_event *event)
{
    struct watched_folder wanted = {.wd = event->wd}, *key = &wanted;
    if (survey->watched_count == 0)
        return false;
    struct watched_folder **found = bsearch(&key, survey->by_wd, survey->watched_count,
                                            sizeof(struct watched_folder *), compare_wds);
    if (found == NULL)
        return false;
    /* Where something is mounted twice, one watch stands for several paths. */
    struct watched_folder **end = survey->by_wd + survey->watched_count;
    while (found > survey->by_wd && found[-1]->wd == event->wd)
        found--;
    for (; found < end && (*found)->wd == event->wd; found++)
        if (concerns_folder(survey, *found, event))
            return true;
    return false;
}
