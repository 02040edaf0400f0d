#include "control/generations.h"

#include "base/clock.h"
#include "control/endpoints.h"
#include "control/key_fetcher.h"
#include "control/privileges.h"
#include "control/publication.h"
#include "control/systemd.h"
#include "control/watcher.h"
#include "net/resolver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MS = 30 * 1000 };

/* One load on its helper thread: owns what goes in and what comes out. */
struct load_job {
    pthread_t thread;
    struct generations *generations;
    enum load_kind kind;
    bool is_abandoned;
    struct snapshot *base; /* a reference to what is served meanwhile; NULL: nothing yet */
    struct snapshot *snapshot;
    struct problems problems;
    struct cert_problems broken;
    struct diff changes;
    struct post done;
};

struct generations {
    struct control *control;
    struct snapshot *current;
    struct cert_library *certs; /* the load's while one is under way */
    struct load_outcome *fine;  /* the last one that was not refused: a reference; NULL: none */
    struct load_record record;
    bool is_closed;
    bool has_abandoned; /* a thread is out that may never come back */

    /* under way; all NULL when nothing is */
    struct load_job *job;
    struct publication *publication;
    struct load_outcome *outcome; /* being written */
    struct access_target access_target;
    bool access_changes;

    struct list asks;      /* of the load under way */
    struct list later;     /* for the next one */
    enum load_kind wanted; /* a next one */
    /* Files of certificates have changed: since the load under way began, and before. A whole load
     * covers that; one that is refused leaves it to a renewal, which no route file can hold up. */
    bool renewal_is_wanted, renews;

    struct task retry_task;
    struct deadline retry; /* set while something is quarantined or a load could not be made */

    struct watcher *watcher;
    struct task watch_task;
    int64_t began_ms; /* by the files' clock: what changed since the newest load began may not be
                         in it */
};

struct load_ask {
    struct list_node node;
    struct loop *loop;
    struct task *task;
    struct load_outcome *outcome; /* NULL: not yet */
};

static void start_load(struct generations *g);
static void follow_files(struct generations *g);

/* --- outcomes and asks -------------------------------------------------------------------------
 */

static void answer_ask(struct load_ask *ask, struct load_outcome *outcome)
{
    list_remove(&ask->node);
    outcome->references++;
    ask->outcome = outcome;
    if (ask->task != NULL)
        loop_wake(ask->loop, ask->task);
}

enum io load_ask_answer(struct load_ask *ask, const struct load_outcome **outcome)
{
    *outcome = ask->outcome;
    return ask->outcome == NULL ? IO_WAIT : IO_OK;
}

void load_ask_end(struct load_ask *ask)
{
    list_remove(&ask->node);
    load_outcome_unref(ask->outcome);
    free(ask);
}

/* --- the end of a load -------------------------------------------------------------------------
 */

static const char *config_name(const struct generations *g)
{
    return g->control->config_file != NULL ? g->control->config_file : "";
}

static void record_outcome(struct generations *g, struct load_outcome *outcome)
{
    struct load_record *record = &g->record;
    record->counts[outcome->result]++;
    record->last_is_fine = !load_is_refused(outcome);
    record->last_refusal[0] = '\0';
    if (record->last_is_fine) {
        record->last_fine_s = clock_wall_ms() / 1000;
        load_outcome_log_quarantine(generations_broken(g), &outcome->broken);
        load_outcome_unref(g->fine);
        outcome->references++;
        g->fine = outcome;
        return;
    }
    for (size_t i = 0; i < outcome->problems.count; i++) {
        const struct problem *problem = &outcome->problems.list[i];
        if (problem->is_warning)
            continue;
        snprintf(record->last_refusal, sizeof(record->last_refusal), "%s:%u:%u: %s",
                 problem->file != NULL ? problem->file : "", problem->line, problem->column,
                 problem->message);
        return;
    }
}

static void want(struct generations *g, enum load_kind kind)
{
    if (kind > g->wanted)
        g->wanted = kind;
    if (kind == LOAD_RENEWAL)
        g->renewal_is_wanted = true;
}

/* What could not be read for want of descriptors or memory, or from a file system that was away,
 * shows in no file when it can be read again. */
static void retry_later(struct generations *g, const struct load_outcome *outcome)
{
    bool is_wanted = g->current != NULL && !g->is_closed &&
                     g->current->globals->watch != WATCH_MODE_OFF &&
                     (generations_broken(g)->count > 0 || sources_are_broken(g->control->sources) ||
                      outcome->result == LOAD_FAILED);
    uint64_t after_ms = g->control->load_retry_ms > 0 ? g->control->load_retry_ms : RETRY_MS;
    deadline_set(g->control->loop, &g->retry, is_wanted ? after_ms : 0);
}

static void retry(void *owner)
{
    generations_load(owner, LOAD_RENEWAL);
}

/* The way out of every load: says what became of it, answers who asked, and goes on. */
static void end_load(struct generations *g, enum load_result result)
{
    struct load_outcome *outcome = g->outcome;
    g->outcome = NULL;
    outcome->result = result;
    outcome->generation = g->current != NULL ? g->current->generation : 0;
    record_outcome(g, outcome);
    load_outcome_log(outcome, config_name(g));
    if (!load_is_refused(outcome)) {
        cert_library_commit(g->certs);
        sources_commit(g->control->sources);
        if (!g->is_closed)
            follow_files(g);
    }
    retry_later(g, outcome);
    systemd_loaded(g->control->systemd, outcome, g->record.last_refusal);
    if (outcome->kind == LOAD_WHOLE && load_is_refused(outcome) && g->renews && !g->is_closed)
        want(g, LOAD_RENEWAL);
    list_each (&g->asks, node)
        answer_ask(container_of(node, struct load_ask, node), outcome);
    load_outcome_unref(outcome);
    if (g->wanted != LOAD_NOTHING)
        start_load(g);
    loop_wake(g->control->loop, &g->control->task);
}

static void refuse(struct generations *g, struct snapshot *snapshot, const char *path,
                   const struct error *error)
{
    problems_add(&g->outcome->problems, false, config_name(g), 0, 0, path, NULL, "%s",
                 error->message);
    access_target_close(&g->access_target);
    if (snapshot != NULL)
        snapshot_unref(snapshot);
    end_load(g, LOAD_FAILED);
}

/* --- publishing --------------------------------------------------------------------------------
 */

static void apply_logs(struct generations *g, const struct snapshot *snapshot)
{
    log_configure(snapshot->globals->log_level, snapshot->globals->log_format);
    if (g->access_changes)
        access_writer_switch(g->control->access_writer, &g->access_target);
}

/* Every worker runs it. */
static void finish_publication(void *owner)
{
    struct generations *g = owner;
    struct snapshot *old = g->current;
    g->current = publication_end(g->publication);
    g->publication = NULL;
    if (old != NULL)
        snapshot_unref(old);
    apply_logs(g, g->current);
    resolver_set_servers(g->control->resolver, g->current->globals->dns_servers,
                         g->current->globals->dns_server_count);
    endpoints_follow(g->control->endpoints);
    health_checks_follow(g->control->health_checks, g->current->config->upstreams,
                         g->current->config->backend_count);
    key_fetcher_leave_out(g->control->key_fetcher, g->current);
    end_load(g, LOAD_PUBLISHED);
}

static bool access_target_changes(const struct generations *g, const struct snapshot *next)
{
    const struct snapshot *now = g->current;
    if (now == NULL || now->globals->access_log != next->globals->access_log)
        return true;
    return next->globals->access_log == ACCESS_LOG_FILE &&
           strcmp(now->globals->access_log_path, next->globals->access_log_path) != 0;
}

static void publish(struct generations *g, struct snapshot *snapshot)
{
    struct control *control = g->control;
    struct error error;
    if (g->current == NULL && !privileges_fit(snapshot->globals, &error)) {
        refuse(g, snapshot, "user", &error);
        return;
    }
    g->access_changes = access_target_changes(g, snapshot);
    if (g->access_changes && !access_target_open(&g->access_target, snapshot->globals->access_log,
                                                 snapshot->globals->access_log_path, &error)) {
        refuse(g, snapshot, "log.access", &error);
        return;
    }
    struct listen_plan *plan = listeners_plan(control->listeners, snapshot, &error);
    if (plan == NULL) {
        refuse(g, snapshot, "listen", &error);
        return;
    }
    if (g->current == NULL && !endpoints_open_admin(control->endpoints, snapshot, &error)) {
        listeners_abandon(control->listeners, plan);
        refuse(g, snapshot, "listen.admin", &error);
        return;
    }
    if (g->current != NULL) {
        endpoints_warn_if_admin_moved(control->endpoints, snapshot);
        privileges_warn_if_changed(g->current->globals, snapshot->globals);
    }
    key_fetcher_take_in(control->key_fetcher, snapshot);
    snapshot->generation = g->current != NULL ? g->current->generation + 1 : 1;
    g->publication = publication_start(control, snapshot, plan, finish_publication, g);
}

static void end_too_late(struct generations *g)
{
    problems_add(&g->outcome->problems, false, config_name(g), 0, 0, "", NULL,
                 "the gateway is draining and loads nothing any more");
    end_load(g, LOAD_TOO_LATE);
}

/* --- watching ----------------------------------------------------------------------------------
 */

static size_t count_client_cas(const struct config *config)
{
    size_t count = 0;
    for (const struct client_ca_file *file = config->client_cas; file != NULL; file = file->next)
        count++;
    return count;
}

/* The files of the running config. */
static void follow_files(struct generations *g)
{
    const struct snapshot *current = g->current;
    const struct config *config = current->config;
    enum watch_mode mode = config->globals->watch;
    struct watch_target *targets =
        memory_array(2 * (size_t)config->cert_source_count + count_client_cas(config) +
                         current->source_count + 1,
                     sizeof(*targets));
    size_t count = 0;
    for (unsigned i = 0; mode != WATCH_MODE_OFF && i < config->cert_source_count; i++) {
        const struct cert_source *source = &config->cert_sources[i];
        targets[count++] = (struct watch_target){.path = source->path, .kind = WATCH_CERTS};
        if (source->key != NULL)
            targets[count++] = (struct watch_target){.path = source->key, .kind = WATCH_CERTS};
    }
    for (const struct client_ca_file *file = config->client_cas;
         mode != WATCH_MODE_OFF && file != NULL; file = file->next)
        targets[count++] = (struct watch_target){.path = file->path, .kind = WATCH_CERTS};
    for (unsigned i = 0; mode != WATCH_MODE_OFF && i < current->source_count; i++)
        if (!source_is_url(current->sources[i].source))
            targets[count++] = (struct watch_target){
                .path = source_location(current->sources[i].source), .kind = WATCH_SOURCES};
    if (mode == WATCH_MODE_ALL)
        targets[count++] = (struct watch_target){.path = config->path, .kind = WATCH_ROUTE_FILE};
    watcher_follow(g->watcher, targets, count, g->began_ms);
    free(targets);
}

static void answer_watcher(void *owner)
{
    struct generations *g = owner;
    unsigned changed = watcher_take(g->watcher);
    if ((changed & (WATCH_CERTS | WATCH_SOURCES)) != 0)
        want(g, LOAD_RENEWAL);
    if ((changed & WATCH_ROUTE_FILE) != 0)
        want(g, LOAD_WHOLE);
    if (changed != 0 && !generations_are_busy(g))
        start_load(g);
}

/* --- loading -----------------------------------------------------------------------------------
 */

/* With what came of it, which nobody took. */
static void free_job(struct load_job *job)
{
    snapshot_unref(job->snapshot);
    snapshot_unref(job->base);
    problems_clear(&job->problems);
    cert_problems_clear(&job->broken);
    diff_clear(&job->changes);
    free(job);
}

static void finish_load(void *owner)
{
    struct load_job *job = owner;
    struct generations *g = job->generations;
    pthread_join(job->thread, NULL);
    if (job->is_abandoned) {
        g->has_abandoned = false;
        free_job(job);
        return;
    }
    struct snapshot *snapshot = job->snapshot;
    problems_clear(&g->outcome->problems);
    g->outcome->problems = job->problems;
    g->outcome->broken = job->broken;
    g->outcome->changes = job->changes;
    g->outcome->read = cert_library_counts(g->certs);
    snapshot_unref(job->base);
    free(job);
    g->job = NULL;

    if (snapshot == NULL) {
        end_load(g, LOAD_INVALID);
    } else if (g->is_closed) {
        snapshot_unref(snapshot);
        end_too_late(g);
    } else if (g->current != NULL && g->current->fingerprint == snapshot->fingerprint) {
        snapshot_unref(snapshot);
        end_load(g, LOAD_UNCHANGED);
    } else {
        publish(g, snapshot);
    }
}

static void *run_load(void *owner)
{
    struct load_job *job = owner;
    struct control *control = job->generations->control;
    const struct load_options options = {
        .keys = control->ticket_keys,
        .certs = job->generations->certs,
        .sources = control->sources,
        .cache = control->cache,
        .broken = &job->broken,
        .previous = job->base != NULL ? job->base->config : NULL,
    };
    job->snapshot = job->kind == LOAD_RENEWAL
                        ? snapshot_renew(job->base, &options, &job->problems)
                        : snapshot_load(control->config_file, &options, &job->problems);
    if (job->snapshot != NULL && job->base != NULL &&
        job->snapshot->fingerprint != job->base->fingerprint)
        diff_make(&job->changes, job->base, job->snapshot);
    buffer_cache_clear();
    loop_post(control->loop, &job->done);
    return NULL;
}

static void start_load(struct generations *g)
{
    enum load_kind kind = g->current != NULL ? g->wanted : LOAD_WHOLE;
    g->wanted = LOAD_NOTHING;
    g->renews = g->renewal_is_wanted;
    g->renewal_is_wanted = false;
    g->outcome = load_outcome_new();
    g->outcome->kind = kind;
    systemd_loading(g->control->systemd);
    list_each (&g->later, node) {
        list_remove(node);
        list_push_back(&g->asks, node);
    }
    if (g->is_closed) {
        end_too_late(g);
        return;
    }
    struct load_job *job = memory_new(sizeof(*job));
    job->generations = g;
    job->kind = kind;
    g->began_ms = clock_file_ms();
    job->base = g->current != NULL ? snapshot_ref(g->current) : NULL;
    problems_init(&job->problems);
    job->done = (struct post){.run = finish_load, .owner = job};
    g->job = job;
    int failure = pthread_create(&job->thread, NULL, run_load, job);
    if (failure != 0) {
        g->job = NULL;
        snapshot_unref(job->base);
        free(job);
        struct error error;
        error_set(&error, "cannot start a thread to load with: %s", strerror(failure));
        refuse(g, NULL, "", &error);
    }
}

/* --- the interface -----------------------------------------------------------------------------
 */

struct generations *generations_new(struct control *control)
{
    struct generations *g = memory_new(sizeof(*g));
    g->control = control;
    g->access_target.fd = -1;
    g->certs = cert_library_new();
    task_init(&g->watch_task, answer_watcher, g);
    task_init(&g->retry_task, retry, g);
    deadline_init(&g->retry, &g->retry_task);
    g->watcher = watcher_new(control->loop, &g->watch_task, NULL);
    g->record.last_is_fine = true;
    list_init(&g->asks);
    list_init(&g->later);
    return g;
}

void generations_free(struct generations *g)
{
    if (g == NULL)
        return;
    assert(!generations_are_busy(g) && list_is_empty(&g->asks) && list_is_empty(&g->later));
    access_target_close(&g->access_target);
    if (g->current != NULL)
        snapshot_unref(g->current);
    load_outcome_unref(g->fine);
    deadline_clear(&g->retry);
    watcher_free(g->watcher);
    cert_library_free(g->certs);
    free(g);
}

void generations_load(struct generations *g, enum load_kind kind)
{
    want(g, kind);
    if (!generations_are_busy(g))
        start_load(g);
}

struct load_ask *generations_ask(struct generations *g, struct task *task)
{
    struct load_ask *ask = memory_new(sizeof(*ask));
    ask->loop = g->control->loop;
    ask->task = task;
    list_push_back(&g->later, &ask->node);
    generations_load(g, LOAD_WHOLE);
    return ask;
}

void generations_close(struct generations *g)
{
    g->is_closed = true;
    watcher_follow(g->watcher, NULL, 0, 0);
    deadline_clear(&g->retry);
}

bool generations_are_publishing(const struct generations *g)
{
    return g->publication != NULL;
}

void generations_abandon(struct generations *g)
{
    assert(g->is_closed);
    if (g->job == NULL)
        return;
    g->job->is_abandoned = g->has_abandoned = true;
    g->job = NULL;
    end_too_late(g);
}

bool generations_have_abandoned(const struct generations *g)
{
    return g->has_abandoned;
}

bool generations_are_busy(const struct generations *g)
{
    return g->outcome != NULL;
}

struct snapshot *generations_current(const struct generations *g)
{
    return g->current;
}

const struct cert_problems *generations_broken(const struct generations *g)
{
    static const struct cert_problems none;

    return g->fine != NULL ? &g->fine->broken : &none;
}

const struct load_record *generations_record(const struct generations *g)
{
    return &g->record;
}

struct cert_load_counts generations_last_read(const struct generations *g)
{
    return g->fine != NULL ? g->fine->read : (struct cert_load_counts){0};
}
