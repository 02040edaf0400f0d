#include "base/clock.h"
#include "base/log.h"
#include "base/slice.h"
#include "control/watch_survey.h"
#include "control/watcher.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60 * 1000, TICK_MS = 2, NEVER_MS = 3600 * 1000 };

/* A watcher of real files in a folder of its own, on a loop that the test turns. */
struct fixture {
    struct loop *loop;
    struct task task;
    struct deadline tick;
    struct watcher *watcher;
    char path[64]; /* the folder; paths of tests are below it */
    unsigned seen; /* what was taken */
    bool (*is_so)(struct fixture *f);
    uint64_t until_ms;
    unsigned ticks;
    unsigned reports; /* takes that gave something */
};

static const struct watch_times prompt = {.quiet_ms = 20, .longest_ms = 5000, .poll_ms = NEVER_MS};
static const struct watch_times polling = {.quiet_ms = 20, .longest_ms = 5000, .poll_ms = 20};

/* --- the loop ----------------------------------------------------------------------------------
 */

static void look(void *owner)
{
    struct fixture *f = owner;
    unsigned taken = watcher_take(f->watcher);
    f->seen |= taken;
    f->reports += taken != 0;
    f->ticks++;
    if (f->is_so(f) || clock_monotonic_ms() > f->until_ms)
        loop_stop(f->loop);
    else
        deadline_set(f->loop, &f->tick, TICK_MS);
}

/* Until it is so after a whole round: behind a look that stops the loop, a poll that was due in the
 * same round may still begin, and the watcher is no longer at rest. */
static void run_until(struct fixture *f, bool (*is_so)(struct fixture *f))
{
    bool is_now_so;
    f->is_so = is_so;
    f->until_ms = clock_monotonic_ms() + PATIENCE_MS;
    do {
        deadline_set(f->loop, &f->tick, TICK_MS);
        loop_run(f->loop);
        is_now_so = is_so(f);
    } while (!is_now_so && clock_monotonic_ms() <= f->until_ms);
    deadline_clear(&f->tick);
    cr_assert(is_now_so, "the watcher has not come to it");
}

static bool is_at_rest(struct fixture *f)
{
    return watcher_is_at_rest(f->watcher);
}

static bool is_at_work(struct fixture *f)
{
    return !is_at_rest(f);
}

static bool has_seen(struct fixture *f)
{
    return f->seen != 0;
}

static void expect_seen(struct fixture *f, unsigned kinds, const char *what)
{
    run_until(f, has_seen);
    run_until(f, is_at_rest);
    cr_expect_eq(f->seen, kinds, "%s: %u", what, f->seen);
    f->seen = 0;
}

/* --- files -------------------------------------------------------------------------------------
 */

static const char *at(const struct fixture *f, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", f->path, name);
    return path;
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    FILE *file = fopen(at(f, name), "we");
    cr_assert_not_null(file, "%s: %s", name, strerror(errno));
    fputs(text, file);
    fclose(file);
}

static void replace_file(const struct fixture *f, const char *name, const char *text)
{
    write_file(f, ".new", text);
    cr_assert_eq(rename(at(f, ".new"), at(f, name)), 0);
}

static void make_folder(const struct fixture *f, const char *name)
{
    cr_assert_eq(mkdir(at(f, name), 0755), 0, "%s: %s", name, strerror(errno));
}

static void make_link(const struct fixture *f, const char *target, const char *name)
{
    cr_assert_eq(symlink(target, at(f, name)), 0, "%s: %s", name, strerror(errno));
}

/* A link that takes over the name of another at once. */
static void flip_link(const struct fixture *f, const char *target, const char *name)
{
    make_link(f, target, "..new");
    cr_assert_eq(rename(at(f, "..new"), at(f, name)), 0);
}

static void move(const struct fixture *f, const char *from, const char *to)
{
    cr_assert_eq(rename(at(f, from), at(f, to)), 0, "%s: %s", from, strerror(errno));
}

static void drop(const struct fixture *f, const char *name)
{
    cr_assert_eq(remove(at(f, name)), 0, "%s: %s", name, strerror(errno));
}

/* --- the watcher -------------------------------------------------------------------------------
 */

static void begin(struct fixture *f, const struct watch_times *times)
{
    *f = (struct fixture){.path = "/tmp/watcher-XXXXXX"};
    log_configure(LOG_ERROR, LOG_TEXT);
    cr_assert_not_null(mkdtemp(f->path));
    f->loop = loop_new();
    task_init(&f->task, look, f);
    deadline_init(&f->tick, &f->task);
    f->watcher = watcher_new(f->loop, &f->task, times);
}

static void follow(struct fixture *f, const char *name, enum watch_kind kind)
{
    struct watch_target target = {.path = at(f, name), .kind = kind};
    watcher_follow(f->watcher, &target, 1, 0);
    run_until(f, is_at_rest);
    cr_assert_eq(f->seen, 0, "what is there has not changed");
}

static void end(struct fixture *f)
{
    char command[128];
    watcher_free(f->watcher);
    loop_free(f->loop);
    snprintf(command, sizeof(command), "rm -rf %s", f->path);
    cr_expect_eq(system(command), 0);
}

/* --- folders -----------------------------------------------------------------------------------
 */

Test(watcher, files_of_a_folder)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "certs/a.crt", "one");
    write_file(&f, "certs/a.key", "one");
    follow(&f, "certs", WATCH_CERTS);
    replace_file(&f, "certs/a.crt", "two");
    expect_seen(&f, WATCH_CERTS, "renamed over");
    write_file(&f, "certs/a.crt", "owt");
    expect_seen(&f, WATCH_CERTS, "written in place, as long as before");
    write_file(&f, "certs/b.pem", "new");
    expect_seen(&f, WATCH_CERTS, "added");
    write_file(&f, "certs/a.ocsp", "staple");
    expect_seen(&f, WATCH_CERTS, "an OCSP response beside it");
    drop(&f, "certs/b.pem");
    expect_seen(&f, WATCH_CERTS, "deleted");
    cr_assert_eq(chmod(at(&f, "certs/a.key"), 0400), 0);
    expect_seen(&f, WATCH_CERTS, "other permissions");
    cr_assert_eq(chmod(at(&f, "certs"), 0700), 0);
    expect_seen(&f, WATCH_CERTS, "the folder's");
    end(&f);
}

Test(watcher, a_writer_that_keeps_the_file_open)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "certs/a.pem", "one");
    int file = open(at(&f, "certs/a.pem"), O_WRONLY | O_CLOEXEC);
    follow(&f, "certs", WATCH_CERTS);
    cr_assert_eq(write(file, "two", 3), 3);
    expect_seen(&f, WATCH_CERTS, "written, not closed");
    close(file);
    end(&f);
}

Test(watcher, sub_folders)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    make_folder(&f, "certs/one");
    follow(&f, "certs", WATCH_CERTS);
    write_file(&f, "certs/one/tls.crt", "one");
    expect_seen(&f, WATCH_CERTS, "in a sub-folder");
    /* Its file is there before anybody can watch it. */
    make_folder(&f, "certs/two");
    write_file(&f, "certs/two/tls.crt", "two");
    expect_seen(&f, WATCH_CERTS, "a new sub-folder");
    replace_file(&f, "certs/two/tls.crt", "three");
    expect_seen(&f, WATCH_CERTS, "in the new sub-folder");
    make_folder(&f, "elsewhere");
    write_file(&f, "elsewhere/tls.crt", "four");
    make_link(&f, "../elsewhere", "certs/three");
    expect_seen(&f, WATCH_CERTS, "a link to a folder");
    replace_file(&f, "elsewhere/tls.crt", "five");
    expect_seen(&f, WATCH_CERTS, "in the folder that it leads to");
    move(&f, "certs/two", "two");
    expect_seen(&f, WATCH_CERTS, "moved out");
    end(&f);
}

Test(watcher, certbots_layout)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "le");
    make_folder(&f, "le/live");
    make_folder(&f, "le/live/a.test");
    make_folder(&f, "le/archive");
    make_folder(&f, "le/archive/a.test");
    write_file(&f, "le/archive/a.test/fullchain1.pem", "one");
    make_link(&f, "../../archive/a.test/fullchain1.pem", "le/live/a.test/fullchain.pem");
    follow(&f, "le", WATCH_CERTS);
    write_file(&f, "le/archive/a.test/fullchain2.pem", "two");
    flip_link(&f, "../../archive/a.test/fullchain2.pem", "le/live/a.test/fullchain.pem");
    expect_seen(&f, WATCH_CERTS, "the next version");
    end(&f);
}

Test(watcher, only_live_of_certbot)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "live");
    make_folder(&f, "live/a");
    make_folder(&f, "archive");
    write_file(&f, "archive/a1.pem", "one");
    make_link(&f, "../../archive/a1.pem", "live/a/fullchain.pem");
    follow(&f, "live", WATCH_CERTS);
    write_file(&f, "archive/a1.pem", "two");
    expect_seen(&f, WATCH_CERTS, "what the link leads to, outside the folder");
    end(&f);
}

Test(watcher, kubernetes_flips)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    make_folder(&f, "certs/..2026_1");
    write_file(&f, "certs/..2026_1/tls.crt", "one");
    make_link(&f, "..2026_1", "certs/..data");
    make_link(&f, "..data/tls.crt", "certs/tls.crt");
    follow(&f, "certs", WATCH_CERTS);
    for (int i = 2; i < 5; i++) {
        char name[32], file[48], old[48];
        snprintf(name, sizeof(name), "certs/..2026_%d", i);
        snprintf(file, sizeof(file), "%s/tls.crt", name);
        make_folder(&f, name);
        write_file(&f, file, "next");
        flip_link(&f, name + strlen("certs/"), "certs/..data");
        snprintf(old, sizeof(old), "certs/..2026_%d/tls.crt", i - 1);
        drop(&f, old);
        *strrchr(old, '/') = '\0';
        drop(&f, old);
        expect_seen(&f, WATCH_CERTS, "flipped");
    }
    end(&f);
}

/* --- links and ancestors -----------------------------------------------------------------------
 */

Test(watcher, links_anywhere_in_the_path)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "a");
    make_folder(&f, "b");
    make_folder(&f, "b/real");
    make_folder(&f, "b/other");
    write_file(&f, "b/real/routes.json", "one");
    write_file(&f, "b/other/routes.json", "two");
    make_link(&f, at(&f, "b/real"), "a/way");
    make_link(&f, "a/way/routes.json", "routes.json");
    follow(&f, "routes.json", WATCH_ROUTE_FILE);
    replace_file(&f, "b/real/routes.json", "three");
    expect_seen(&f, WATCH_ROUTE_FILE, "at the end of the links");
    flip_link(&f, "../b/other", "a/way");
    expect_seen(&f, WATCH_ROUTE_FILE, "a link on the way");
    replace_file(&f, "b/other/routes.json", "four");
    expect_seen(&f, WATCH_ROUTE_FILE, "at the new end");
    move(&f, "b", "c");
    expect_seen(&f, WATCH_ROUTE_FILE, "a folder above");
    move(&f, "c", "b");
    expect_seen(&f, WATCH_ROUTE_FILE, "and back");
    end(&f);
}

Test(watcher, loops_of_links)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    make_link(&f, "b.pem", "certs/a.pem");
    make_link(&f, "a.pem", "certs/b.pem");
    make_link(&f, ".", "certs/live");
    make_link(&f, "..", "certs/up");
    follow(&f, "certs", WATCH_CERTS);
    drop(&f, "certs/a.pem");
    write_file(&f, "certs/a.pem", "one");
    expect_seen(&f, WATCH_CERTS, "a loop that has ended");
    end(&f);
}

Test(watcher, a_folder_that_comes_and_goes)
{
    struct fixture f;
    begin(&f, &prompt);
    follow(&f, "not/yet/certs", WATCH_CERTS);
    make_folder(&f, "not");
    make_folder(&f, "not/yet");
    make_folder(&f, "not/yet/certs");
    write_file(&f, "not/yet/certs/a.pem", "one");
    expect_seen(&f, WATCH_CERTS, "made");
    replace_file(&f, "not/yet/certs/a.pem", "two");
    expect_seen(&f, WATCH_CERTS, "changed");
    move(&f, "not/yet/certs", "away");
    expect_seen(&f, WATCH_CERTS, "renamed away");
    make_folder(&f, "not/yet/certs");
    write_file(&f, "not/yet/certs/a.pem", "three");
    expect_seen(&f, WATCH_CERTS, "made again");
    drop(&f, "not/yet/certs/a.pem");
    drop(&f, "not/yet/certs");
    expect_seen(&f, WATCH_CERTS, "deleted");
    make_folder(&f, "not/yet/certs");
    expect_seen(&f, WATCH_CERTS, "there, and empty");
    write_file(&f, "not/yet/certs/a.pem", "four");
    expect_seen(&f, WATCH_CERTS, "filled");
    end(&f);
}

/* --- single files ------------------------------------------------------------------------------
 */

Test(watcher, what_lies_beside_a_certificate)
{
    struct fixture f;
    begin(&f, &prompt);
    write_file(&f, "a.crt", "one");
    follow(&f, "a.crt", WATCH_CERTS);
    write_file(&f, "a.ocsp", "staple");
    expect_seen(&f, WATCH_CERTS, "an OCSP response");
    write_file(&f, "a.key", "key");
    expect_seen(&f, WATCH_CERTS, "a key");
    end(&f);
}

Test(watcher, kinds_are_told_apart)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "routes.json", "one");
    struct watch_target targets[] = {{strdup(at(&f, "certs")), WATCH_CERTS},
                                     {strdup(at(&f, "routes.json")), WATCH_ROUTE_FILE}};
    watcher_follow(f.watcher, targets, 2, 0);
    run_until(&f, is_at_rest);
    write_file(&f, "certs/a.pem", "one");
    expect_seen(&f, WATCH_CERTS, "a certificate");
    replace_file(&f, "routes.json", "two");
    expect_seen(&f, WATCH_ROUTE_FILE, "the route file");
    write_file(&f, "certs/a.pem", "three");
    write_file(&f, "routes.json", "three");
    expect_seen(&f, WATCH_CERTS | WATCH_ROUTE_FILE, "both");
    free((char *)(uintptr_t)targets[0].path);
    free((char *)(uintptr_t)targets[1].path);
    end(&f);
}

/* Of another kind than what lies beside it; read by its name, whatever links lead to it. */
Test(watcher, a_file_of_policies_among_certificates)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    make_folder(&f, "box");
    make_folder(&f, "box/..one");
    make_folder(&f, "box/..two");
    write_file(&f, "box/..one/users", "one");
    write_file(&f, "box/..two/users", "two");
    make_link(&f, "..one", "box/..data");
    make_link(&f, "..data/users", "box/users");
    write_file(&f, "certs/more.htpasswd", "one");
    struct watch_target targets[] = {{strdup(at(&f, "certs")), WATCH_CERTS},
                                     {strdup(at(&f, "certs/more.htpasswd")), WATCH_SOURCES},
                                     {strdup(at(&f, "box/users")), WATCH_SOURCES}};
    watcher_follow(f.watcher, targets, 3, 0);
    run_until(&f, is_at_rest);
    write_file(&f, "certs/more.htpasswd", "two");
    expect_seen(&f, WATCH_SOURCES, "written in place");
    replace_file(&f, "certs/more.htpasswd", "three");
    expect_seen(&f, WATCH_SOURCES, "replaced");
    make_link(&f, "..two", "..new");
    cr_assert_eq(rename(at(&f, "..new"), at(&f, "box/..data")), 0);
    expect_seen(&f, WATCH_SOURCES, "a link on its way leads elsewhere");
    write_file(&f, "box/..two/users", "three");
    expect_seen(&f, WATCH_SOURCES, "written where the links lead");
    write_file(&f, "certs/a.pem", "one");
    expect_seen(&f, WATCH_CERTS, "a certificate");
    for (size_t i = 0; i < 3; i++)
        free((char *)(uintptr_t)targets[i].path);
    end(&f);
}

/* What does not matter, and then what does: it alone is seen, and it was not waited for. */
Test(watcher, neighbours_do_not_matter)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "routes.json", "one");
    struct watch_target targets[] = {{strdup(at(&f, "certs")), WATCH_CERTS},
                                     {strdup(at(&f, "routes.json")), WATCH_ROUTE_FILE}};
    watcher_follow(f.watcher, targets, 2, 0);
    run_until(&f, is_at_rest);
    write_file(&f, "access.log", "line");
    write_file(&f, "a.pem", "not in the folder");
    write_file(&f, "certs/.a.pem.swp", "an editor's");
    write_file(&f, "certs/4913", "an editor's");
    drop(&f, "certs/4913");
    write_file(&f, "certs/README", "words");
    replace_file(&f, "routes.json", "two");
    expect_seen(&f, WATCH_ROUTE_FILE, "certificates have not changed");
    free((char *)(uintptr_t)targets[0].path);
    free((char *)(uintptr_t)targets[1].path);
    end(&f);
}

/* --- events that do not concern anything -------------------------------------------------------
 */

static void expect_concern(const struct fixture *f, struct watch_survey *survey, const char *name,
                           uint32_t mask, bool expected)
{
    _Alignas(struct inotify_event) char bytes[sizeof(struct inotify_event) + 64] = {0};
    struct inotify_event *event = (void *)bytes;
    struct watched_folder *folder = table_get(&survey->folders, slice_of(f->path));
    event->wd = folder->wd;
    event->mask = mask;
    event->len = 64;
    snprintf(event->name, 64, "%s", name);
    cr_expect_eq(watch_survey_concerns(survey, event), expected, "%s", name);
}

Test(watcher, a_log_beside_a_single_file_is_no_event)
{
    struct fixture f;
    begin(&f, &prompt);
    write_file(&f, "a.pem", "one");
    struct watch_target target = {.path = at(&f, "a.pem"), .kind = WATCH_CERTS};
    struct watch_survey survey = {
        .targets = &target, .target_count = 1, .inotify = inotify_init1(IN_CLOEXEC)};
    watch_survey_run(&survey);
    expect_concern(&f, &survey, "a.pem", IN_MODIFY, true);
    expect_concern(&f, &survey, "a.ocsp", IN_CREATE, true);
    expect_concern(&f, &survey, "access.log", IN_MODIFY, false);
    expect_concern(&f, &survey, "b.pem", IN_CREATE, false);
    watch_survey_clear(&survey);

    survey =
        (struct watch_survey){.targets = &target, .target_count = 1, .inotify = survey.inotify};
    target.path = f.path;
    watch_survey_run(&survey);
    expect_concern(&f, &survey, "b.pem", IN_MODIFY, true);
    expect_concern(&f, &survey, "folder", IN_CREATE | IN_ISDIR, true);
    expect_concern(&f, &survey, "access.log", IN_MODIFY, false);
    expect_concern(&f, &survey, ".a.pem.swp", IN_CREATE, false);
    watch_survey_clear(&survey);
    close(survey.inotify);
    end(&f);
}

/* --- together, and once ------------------------------------------------------------------------
 */

Test(watcher, a_pair_is_taken_together)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "certs/a.crt", "one");
    write_file(&f, "certs/a.key", "one");
    follow(&f, "certs", WATCH_CERTS);
    replace_file(&f, "certs/a.crt", "two");
    run_until(&f, is_at_work);
    replace_file(&f, "certs/a.key", "two");
    expect_seen(&f, WATCH_CERTS, "both");
    cr_expect_eq(f.reports, 1, "%u reports", f.reports);
    end(&f);
}

static int endless = -1;
static uint64_t busy_ms; /* the loop's others, in each round */

/* Writes as often as it is asked. */
static bool has_seen_despite_writing(struct fixture *f)
{
    uint64_t end_ms = clock_monotonic_ms() + busy_ms;
    if (!has_seen(f))
        cr_assert_eq(write(endless, "x", 1), 1);
    while (clock_monotonic_ms() < end_ms) {
    }
    return has_seen(f);
}

static void expect_seen_despite_writing(void)
{
    static const struct watch_times impatient = {
        .quiet_ms = NEVER_MS, .longest_ms = 50, .poll_ms = NEVER_MS};
    struct fixture f;
    begin(&f, &impatient);
    make_folder(&f, "certs");
    follow(&f, "certs", WATCH_CERTS);
    endless = open(at(&f, "certs/a.pem"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    run_until(&f, has_seen_despite_writing);
    cr_expect_eq(f.seen, WATCH_CERTS);
    close(endless);
    end(&f);
}

Test(watcher, a_writer_that_never_rests_is_not_waited_for)
{
    expect_seen_despite_writing();
}

/* Each time the watcher runs, its deadline has passed and there is another event. */
Test(watcher, nor_on_a_loop_that_is_slow)
{
    busy_ms = 15;
    expect_seen_despite_writing();
}

/* --- polling -----------------------------------------------------------------------------------
 */

/* inotify tells the folder through which a file was changed: this one is not watched. */
static void write_unseen(const struct fixture *f, const char *name, const char *text)
{
    if (access(at(f, "unseen"), F_OK) != 0)
        make_folder(f, "unseen");
    cr_assert_eq(link(at(f, name), at(f, "unseen/link")), 0);
    write_file(f, "unseen/link", text);
}

Test(watcher, polling_finds_what_inotify_does_not_tell)
{
    struct fixture f;
    begin(&f, &polling);
    make_folder(&f, "certs");
    write_file(&f, "certs/a.pem", "one");
    write_unseen(&f, "certs/a.pem", "two");
    follow(&f, "certs", WATCH_CERTS);
    write_file(&f, "unseen/link", "three");
    expect_seen(&f, WATCH_CERTS, "written through another name");
    end(&f);
}

enum { SOME_TICKS = 100 };

static bool has_ticked(struct fixture *f)
{
    return f->ticks >= SOME_TICKS;
}

Test(watcher, nothing_is_reported_twice)
{
    struct fixture f;
    begin(&f, &polling);
    make_folder(&f, "certs");
    follow(&f, "certs", WATCH_CERTS);
    write_file(&f, "certs/a.pem", "one");
    expect_seen(&f, WATCH_CERTS, "an event");
    f.ticks = 0; /* some polls go by */
    run_until(&f, has_ticked);
    cr_expect_eq(f.seen, 0, "polls after it");
    end(&f);
}

Test(watcher, a_quiet_folder_wakes_nobody)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    follow(&f, "certs", WATCH_CERTS);
    uint64_t before = loop_sleeps(f.loop);
    f.ticks = 0;
    run_until(&f, has_ticked);
    cr_expect_leq(loop_sleeps(f.loop) - before, 2 * SOME_TICKS, "only for ticks of the test");
    cr_expect(is_at_rest(&f));
    end(&f);
}

Test(watcher, events_that_were_lost)
{
    struct fixture f;
    unsigned most = 0;
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    if (limit == NULL || fscanf(limit, "%u", &most) != 1 || most > 100 * 1000)
        cr_skip_test("the queue of events cannot be filled here");
    fclose(limit);
    begin(&f, &prompt);
    make_folder(&f, "certs");
    write_file(&f, "certs/a.pem", "one");
    follow(&f, "certs", WATCH_CERTS);
    int even = open(at(&f, "certs/even"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int odd = open(at(&f, "certs/odd"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    run_until(&f, is_at_rest);
    for (unsigned i = 0; i <= most; i++) /* the same event twice in a row would be one */
        cr_assert_eq(write(i % 2 ? odd : even, "x", 1), 1);
    replace_file(&f, "certs/a.pem", "two");
    expect_seen(&f, WATCH_CERTS, "behind the end of the queue");
    close(even);
    close(odd);
    end(&f);
}

/* --- new targets -------------------------------------------------------------------------------
 */

Test(watcher, other_targets)
{
    struct fixture f;
    begin(&f, &prompt);
    make_folder(&f, "one");
    make_folder(&f, "two");
    follow(&f, "one", WATCH_CERTS);
    follow(&f, "two", WATCH_CERTS);
    write_file(&f, "one/a.pem", "one");
    write_file(&f, "two/routes", "no certificate");
    write_file(&f, "two/a.pem", "two");
    expect_seen(&f, WATCH_CERTS, "the new one");
    watcher_follow(f.watcher, NULL, 0, 0);
    run_until(&f, is_at_rest);
    write_file(&f, "two/a.pem", "three");
    follow(&f, "one", WATCH_CERTS);
    end(&f);
}

Test(watcher, what_changed_while_it_was_read)
{
    struct fixture f;
    begin(&f, &prompt);
    int64_t before = clock_wall_ms() - 1000;
    make_folder(&f, "certs");
    write_file(&f, "certs/a.pem", "one");
    struct watch_target target = {.path = at(&f, "certs"), .kind = WATCH_CERTS};
    watcher_follow(f.watcher, &target, 1, before);
    expect_seen(&f, WATCH_CERTS, "written after that time");
    end(&f);
}

Test(watcher, what_went_away_while_it_was_read)
{
    struct fixture f;
    begin(&f, &prompt);
    int64_t before = clock_wall_ms() - 1000;
    make_folder(&f, "certs");
    write_file(&f, "certs/a.pem", "one");
    move(&f, "certs", "away");
    struct watch_target target = {.path = at(&f, "certs"), .kind = WATCH_CERTS};
    watcher_follow(f.watcher, &target, 1, before);
    expect_seen(&f, WATCH_CERTS, "renamed after that time");
    end(&f);
}

/* --- the end, and limits -----------------------------------------------------------------------
 */

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

Test(watcher, everything_is_closed)
{
    struct fixture f;
    unsigned before = count_fds();
    begin(&f, &prompt);
    make_folder(&f, "certs");
    follow(&f, "certs", WATCH_CERTS);
    write_file(&f, "certs/a.pem", "one");
    struct watch_target target = {.path = f.path, .kind = WATCH_CERTS};
    watcher_follow(f.watcher, &target, 1, 0); /* a survey is under way at the end */
    end(&f);
    cr_expect_eq(count_fds(), before);
}

static bool write_number(const char *path, const char *number)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, number, strlen(number)) > 0;
    if (fd >= 0)
        close(fd);
    return is_written;
}

enum { NO_NAMESPACE = 77 };

/* With three watches for the process; in a user namespace, whose limits are its own. */
static int survey_with_few_watches(const struct fixture *f)
{
    char map[64];
    snprintf(map, sizeof(map), "0 %u 1", geteuid());
    if (unshare(CLONE_NEWUSER) != 0 || !write_number("/proc/self/uid_map", map) ||
        !write_number("/proc/sys/user/max_inotify_watches", "3"))
        return NO_NAMESPACE;
    struct watch_target target = {.path = at(f, "certs"), .kind = WATCH_CERTS};
    uint64_t sums[2];
    for (int i = 0; i < 2; i++) {
        struct watch_survey survey = {
            .targets = &target, .target_count = 1, .inotify = inotify_init1(IN_CLOEXEC)};
        watch_survey_run(&survey);
        if (!survey.reached_limit || survey.watched_count != 3)
            return 1;
        sums[i] = survey.sums[0];
        watch_survey_clear(&survey);
        close(survey.inotify);
        replace_file(f, "certs/a/tls.crt", "two");
    }
    return sums[0] != sums[1] ? 0 : 2;
}

Test(watcher, too_few_watches_leave_the_polling)
{
    struct fixture f;
    int status;
    begin(&f, &prompt);
    make_folder(&f, "certs");
    make_folder(&f, "certs/a");
    write_file(&f, "certs/a/tls.crt", "one");
    pid_t child = fork(); /* only a process with one thread may go into a user namespace */
    if (child == 0)
        _exit(survey_with_few_watches(&f));
    cr_assert_eq(waitpid(child, &status, 0), child);
    end(&f);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NAMESPACE)
        cr_skip_test("no user namespace can be made here");
    cr_expect_eq(WEXITSTATUS(status), 0, "%d", WEXITSTATUS(status));
}

/* --- mounts ------------------------------------------------------------------------------------
 */

static bool can_mount(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

Test(watcher, a_mount_over_the_folder)
{
    struct fixture f;
    if (!can_mount())
        cr_skip_test("nothing can be mounted here");
    begin(&f, &polling);
    make_folder(&f, "certs");
    make_folder(&f, "other");
    write_file(&f, "other/a.pem", "one");
    follow(&f, "certs", WATCH_CERTS);
    cr_assert_eq(mount(at(&f, "other"), at(&f, "certs"), NULL, MS_BIND, NULL), 0);
    expect_seen(&f, WATCH_CERTS, "mounted");
    cr_assert_eq(umount(at(&f, "certs")), 0);
    expect_seen(&f, WATCH_CERTS, "and unmounted");
    end(&f);
}

Test(watcher, a_mounted_file_that_is_replaced_outside)
{
    struct fixture f;
    if (!can_mount())
        cr_skip_test("nothing can be mounted here");
    begin(&f, &polling);
    make_folder(&f, "outside");
    write_file(&f, "outside/routes.json", "one");
    write_file(&f, "routes.json", "");
    cr_assert_eq(mount(at(&f, "outside/routes.json"), at(&f, "routes.json"), NULL, MS_BIND, NULL),
                 0);
    follow(&f, "routes.json", WATCH_ROUTE_FILE);
    replace_file(&f, "outside/routes.json", "two");
    expect_seen(&f, WATCH_ROUTE_FILE, "the inode has lost its name");
    umount(at(&f, "routes.json"));
    end(&f);
}
