#include "control/watcher.h"

#include "base/log.h"
#include "base/refcount.h"
#include "control/watch_survey.h"
#include "net/fd_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    QUIET_MS = 200,
    LONGEST_MS = 5 * 1000,
    POLL_MS = 10 * 1000,
    SLOW_MS = 30 * 1000, /* after that a survey is said to hang */
    LEAVE_MS = 1000,     /* for a survey to end when the watcher does */
};

enum watcher_state {
    WATCHER_QUIET,    /* the deadline: the next poll */
    WATCHER_LOOKING,  /* a survey is under way; the deadline: it hangs */
    WATCHER_SETTLING, /* something has changed; the deadline: look whether it is done */
};

/* A survey on its thread, which shares it with the watcher: whoever lets go last frees it. Targets
 * and descriptors are its own, since it may outlive the watcher. */
struct survey_job {
    struct refcount refs;
    pthread_t thread;
    struct watch_survey survey;
    struct watch_target *targets;
    int inotify, done; /* duplicates */
    bool is_first;     /* of these targets */
    atomic_bool is_done;
};

struct watcher {
    struct loop *loop;
    struct task *client; /* woken when there is something to take */
    struct watch_times times;
    enum watcher_state state;
    struct task task;
    struct deadline deadline;
    int inotify; /* -1: the kernel has none for us */
    int done;    /* eventfd: a survey has ended */
    struct fd_watch *inotify_watch, *done_watch;

    struct watch_target *targets;
    size_t target_count;
    int64_t since_ms;

    struct survey_job *job;           /* LOOKING */
    struct survey_job *latest;        /* the last one that ended; NULL: none yet */
    uint64_t reported[SURVEY_KINDS];  /* the sums that the client knows of */
    unsigned forced;                  /* kinds that count as changed, whatever the sums say */
    bool saw_event;                   /* since the last survey began */
    bool has_new_targets;             /* no survey of them has begun */
    bool has_warned;                  /* of the limit of watches */
    uint64_t changed_ms, surveyed_ms; /* the first sign of a change, 0: none; the last survey */
    unsigned ready;                   /* to be taken */
};

static const enum watch_kind kinds[SURVEY_KINDS] = {WATCH_CERTS, WATCH_ROUTE_FILE, WATCH_SOURCES};

/* The one writer of the state; 0 ms: no deadline. */
static void enter(struct watcher *w, enum watcher_state state, uint64_t deadline_ms)
{
    w->state = state;
    deadline_set(w->loop, &w->deadline, deadline_ms);
}

/* --- targets -----------------------------------------------------------------------------------
 */

static struct watch_target *copy_targets(const struct watch_target *targets, size_t count)
{
    struct watch_target *copy = memory_array(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = (struct watch_target){.path = slice_duplicate(slice_of(targets[i].path)),
                                        .kind = targets[i].kind};
    return copy;
}

static void free_targets(struct watch_target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)targets[i].path);
    free(targets);
}

static bool are_followed(const struct watcher *w, const struct watch_target *targets, size_t count)
{
    if (count != w->target_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (targets[i].kind != w->targets[i].kind ||
            strcmp(targets[i].path, w->targets[i].path) != 0)
            return false;
    return true;
}

/* --- a survey on its thread --------------------------------------------------------------------
 */

static void job_unref(struct survey_job *job)
{
    if (job == NULL || !refcount_drop(&job->refs))
        return;
    free_targets(job->targets, job->survey.target_count);
    watch_survey_clear(&job->survey);
    free(job);
}

static void *run_survey(void *owner)
{
    struct survey_job *job = owner;
    watch_survey_run(&job->survey);
    if (job->inotify >= 0)
        close(job->inotify);
    atomic_store(&job->is_done, true);
    eventfd_write(job->done, 1);
    close(job->done);
    job_unref(job);
    return NULL;
}

/* False, with errno, when there is no thread or descriptor for it. */
static bool job_start(struct survey_job *job)
{
    sigset_t all, before;
    if (job->done < 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    refcount_take(&job->refs);
    int failure = pthread_create(&job->thread, NULL, run_survey, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        job_unref(job); /* the thread's */
    errno = failure;
    return failure == 0;
}

static int duplicate(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void start_survey(struct watcher *w)
{
    struct survey_job *job = memory_new(sizeof(*job));
    refcount_init(&job->refs);
    job->targets = copy_targets(w->targets, w->target_count);
    job->inotify = duplicate(w->inotify);
    job->done = duplicate(w->done);
    job->is_first = w->has_new_targets;
    job->survey = (struct watch_survey){
        .targets = job->targets, .target_count = w->target_count, .inotify = job->inotify};
    if (job_start(job)) {
        w->job = job;
        w->saw_event = w->has_new_targets = false;
        w->surveyed_ms = loop_now_ms(w->loop);
        enter(w, WATCHER_LOOKING, SLOW_MS);
        return;
    }
    log_event(LOG_WARN, "watch", "cannot look for changes, which is tried again: %s",
              strerror(errno));
    if (job->inotify >= 0)
        close(job->inotify);
    if (job->done >= 0)
        close(job->done);
    job_unref(job);
    enter(w, WATCHER_SETTLING, w->times.poll_ms);
}

/* --- what a survey says ------------------------------------------------------------------------
 */

/* Folders that nothing leads through any more. Events that tell of their end are nobody's. */
static void drop_watches(struct watcher *w, const struct watch_survey *old,
                         const struct watch_survey *now)
{
    size_t next = 0;
    for (size_t i = 0; i < old->watched_count; i++) {
        int wd = old->by_wd[i]->wd;
        while (next < now->watched_count && now->by_wd[next]->wd < wd)
            next++;
        if (next == now->watched_count || now->by_wd[next]->wd != wd)
            inotify_rm_watch(w->inotify, wd);
    }
}

static void warn_of_limit(struct watcher *w)
{
    if (w->has_warned)
        return;
    w->has_warned = true;
    log_event(
        LOG_WARN, "watch_limit",
        "the kernel allows no more inotify watches: changes that it does not report are found "
        "by looking every %u s; raise fs.inotify.max_user_watches",
        w->times.poll_ms / 1000);
}

static unsigned differing(const struct watch_survey *survey, const uint64_t sums[SURVEY_KINDS])
{
    unsigned found = 0;
    for (unsigned i = 0; i < SURVEY_KINDS; i++)
        if (survey->sums[i] != sums[i])
            found |= kinds[i];
    return found;
}

/* The first one of new targets: they are what the client knows, but for what changed since. */
static void begin_with(struct watcher *w, const struct watch_survey *survey)
{
    for (unsigned i = 0; i < SURVEY_KINDS; i++) {
        w->reported[i] = survey->sums[i];
        if (w->since_ms > 0 && survey->newest_ms[i] >= w->since_ms)
            w->forced |= kinds[i];
    }
}

static void settle(struct watcher *w)
{
    uint64_t now = loop_now_ms(w->loop), end = w->changed_ms + w->times.longest_ms;
    uint64_t left = end > now ? end - now : 1;
    enter(w, WATCHER_SETTLING, left < w->times.quiet_ms ? left : w->times.quiet_ms);
}

static void rest(struct watcher *w)
{
    w->changed_ms = 0;
    enter(w, WATCHER_QUIET, w->target_count > 0 ? w->times.poll_ms : 0);
}

/* `has_moved`: since the survey before. */
static void judge(struct watcher *w, const struct watch_survey *survey, bool has_moved)
{
    unsigned changed = differing(survey, w->reported) | w->forced;
    uint64_t now = loop_now_ms(w->loop);
    if (changed == 0 && !w->saw_event) {
        rest(w);
        return;
    }
    if (w->changed_ms == 0)
        w->changed_ms = now;
    if ((has_moved || w->saw_event) && now < w->changed_ms + w->times.longest_ms) {
        settle(w);
        return;
    }
    memcpy(w->reported, survey->sums, sizeof(w->reported));
    w->forced = 0;
    w->ready |= changed;
    rest(w);
    if (w->ready != 0)
        loop_wake(w->loop, w->client);
}

static void finish_survey(struct watcher *w)
{
    struct survey_job *job = w->job, *before = w->latest;
    eventfd_t count;
    w->job = NULL;
    /* It may be between the flag and the eventfd: what is left there would keep the loop awake. */
    pthread_join(job->thread, NULL);
    eventfd_read(w->done, &count);
    if (job->survey.reached_limit)
        warn_of_limit(w);
    if (before != NULL)
        drop_watches(w, &before->survey, &job->survey);
    w->latest = job;
    if (w->has_new_targets) {
        start_survey(w);
    } else {
        if (job->is_first)
            begin_with(w, &job->survey);
        judge(w, &job->survey, job->is_first || differing(&job->survey, before->survey.sums) != 0);
    }
    job_unref(before);
}

/* --- events ------------------------------------------------------------------------------------
 */

static void note_event(struct watcher *w)
{
    uint64_t now = loop_now_ms(w->loop);
    w->saw_event = true;
    if (w->changed_ms == 0)
        w->changed_ms = now;
    if (w->state == WATCHER_LOOKING)
        return;
    /* At once, so that new folders are watched soon; but a busy folder costs no survey an event.
     * When it has lasted long enough, an event must not put off the look any further. */
    if ((w->state == WATCHER_QUIET && now >= w->surveyed_ms + w->times.quiet_ms) ||
        now >= w->changed_ms + w->times.longest_ms)
        start_survey(w);
    else
        settle(w);
}

/* What the first survey of new targets has found is not known until it ends. What a later one finds
 * that is new makes the sums differ, and is looked at again. */
static bool is_of_interest(const struct watcher *w, const struct inotify_event *event)
{
    bool is_beginning = w->state == WATCHER_LOOKING && w->job->is_first;
    return (event->mask & IN_Q_OVERFLOW) != 0 ||
           (is_beginning && (event->mask & IN_IGNORED) == 0) ||
           (w->latest != NULL && watch_survey_concerns(&w->latest->survey, event));
}

static void read_events(struct watcher *w)
{
    _Alignas(struct inotify_event) char bytes[16 * 1024];
    bool is_told = false;
    ssize_t length;
    while (w->inotify >= 0 && (length = read(w->inotify, bytes, sizeof(bytes))) > 0) {
        for (char *at = bytes; at < bytes + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;
            is_told = is_told || is_of_interest(w, event);
            at += sizeof(*event) + event->len;
        }
    }
    if (is_told && w->target_count > 0)
        note_event(w);
}

static void run(void *owner)
{
    struct watcher *w = owner;
    read_events(w);
    bool has_passed = deadline_passed(w->loop, &w->deadline);
    switch (w->state) {
    case WATCHER_LOOKING:
        if (atomic_load(&w->job->is_done)) {
            finish_survey(w);
        } else if (has_passed) {
            log_event(LOG_WARN, "watch_slow",
                      "a file system does not answer: changes are not seen until it does");
            deadline_set(w->loop, &w->deadline, 0);
        }
        break;
    case WATCHER_QUIET:
    case WATCHER_SETTLING:
        if (has_passed)
            start_survey(w);
        break;
    }
}

/* --- the interface -----------------------------------------------------------------------------
 */

struct watcher *watcher_new(struct loop *loop, struct task *task, const struct watch_times *times)
{
    struct watcher *w = memory_new(sizeof(*w));
    w->loop = loop;
    w->client = task;
    w->times = times != NULL ? *times
                             : (struct watch_times){.quiet_ms = QUIET_MS,
                                                    .longest_ms = LONGEST_MS,
                                                    .poll_ms = POLL_MS};
    task_init(&w->task, run, w);
    deadline_init(&w->deadline, &w->task);
    w->targets = copy_targets(NULL, 0);
    w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->inotify >= 0)
        w->inotify_watch = fd_watch_new(loop, w->inotify, &w->task);
    else
        log_event(LOG_WARN, "watch_limit",
                  "inotify cannot be used (%s): changes are found by looking every %u s; raise "
                  "fs.inotify.max_user_instances",
                  strerror(errno), w->times.poll_ms / 1000);
    w->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->done >= 0)
        w->done_watch = fd_watch_new(loop, w->done, &w->task);
    else
        log_event(LOG_ERROR, "watch", "nothing can be watched: %s", strerror(errno));
    return w;
}

/* A survey that hangs in a file system goes on by itself. */
static void leave_job(struct watcher *w)
{
    struct pollfd done = {.fd = w->done, .events = POLLIN};

    if (poll(&done, 1, LEAVE_MS) > 0)
        pthread_join(w->job->thread, NULL);
    else
        pthread_detach(w->job->thread);
    job_unref(w->job);
}

void watcher_free(struct watcher *w)
{
    if (w == NULL)
        return;
    if (w->job != NULL)
        leave_job(w);
    job_unref(w->latest);
    deadline_clear(&w->deadline);
    fd_watch_free(w->inotify_watch);
    fd_watch_free(w->done_watch);
    if (w->inotify >= 0)
        close(w->inotify);
    if (w->done >= 0)
        close(w->done);
    free_targets(w->targets, w->target_count);
    loop_bury(w->loop, &w->task, free);
}

void watcher_follow(struct watcher *w, const struct watch_target *targets, size_t count,
                    int64_t since_ms)
{
    if (are_followed(w, targets, count))
        return;
    struct watch_target *copy = copy_targets(targets, count);
    free_targets(w->targets, w->target_count);
    w->targets = copy;
    w->target_count = count;
    w->since_ms = since_ms;
    w->has_new_targets = true;
    if (w->changed_ms != 0) /* of the old ones; it may concern these */
        for (size_t i = 0; i < count; i++)
            w->forced |= targets[i].kind;
    if (w->state != WATCHER_LOOKING)
        start_survey(w);
}

unsigned watcher_take(struct watcher *w)
{
    unsigned ready = w->ready;
    w->ready = 0;
    return ready;
}

bool watcher_is_at_rest(const struct watcher *w)
{
    return w->state == WATCHER_QUIET && w->latest != NULL && w->changed_ms == 0;
}
