#include "support/control_fixture.h"

#include "base/clock.h"
#include "control/key_fetcher.h"
#include "net/redis_outage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICK_MS = 4, PATIENCE_MS = 60 * 1000 };

/* --- turning the loop --------------------------------------------------------------------------
 */

struct turning {
    struct loop *loop;
    struct task task;
    struct deadline tick;
    bool (*is_so)(void *argument);
    void *argument;
    uint64_t until_ms;
};

static void look(void *owner)
{
    struct turning *turning = owner;
    if (turning->is_so(turning->argument) || clock_monotonic_ms() > turning->until_ms)
        loop_stop(turning->loop);
    else
        deadline_set(turning->loop, &turning->tick, TICK_MS);
}

void control_fixture_run_until(struct control_fixture *f, bool (*is_so)(void *argument),
                               void *argument)
{
    struct turning turning = {.loop = f->control.loop,
                              .is_so = is_so,
                              .argument = argument,
                              .until_ms = clock_monotonic_ms() + PATIENCE_MS};
    task_init(&turning.task, look, &turning);
    deadline_init(&turning.tick, &turning.task);
    bool is_now_so;
    do { /* behind a look that stops the loop, tasks of the same round may change it again */
        deadline_set(turning.loop, &turning.tick, TICK_MS);
        loop_run(turning.loop);
        is_now_so = is_so(argument);
    } while (!is_now_so && clock_monotonic_ms() <= turning.until_ms);
    deadline_clear(&turning.tick);
    cr_assert(is_now_so, "the control loop has not come to it");
}

/* --- the parts ---------------------------------------------------------------------------------
 */

/* What waits for the control thread's own states is not here. */
static void nothing(void *owner)
{
    (void)owner;
}

void control_fixture_init(struct control_fixture *f)
{
    struct control *control = &f->control;
    struct error error;
    *f = (struct control_fixture){0};
    signal(SIGPIPE, SIG_IGN);
    log_configure(LOG_ERROR, LOG_TEXT);
    route_folder_init(&f->folder);
    snprintf(f->admin, sizeof(f->admin), "unix:%s/admin.sock", f->folder.path);
    control->config_file = f->folder.file;
    control->ticket_keys = f->folder.keys;
    control->loop = loop_new();
    control->resolver = resolver_new(control->loop, NULL);
    control->backend_states = backend_states_new(control->loop, control->resolver);
    control->health_checks = health_checks_new(control->loop, control->backend_states);
    control->state = CONTROL_SERVING;
    control->started_ms = clock_monotonic_ms();
    task_init(&control->task, nothing, f);
    control->cache = cache_store_new();
    control->outage = redis_outage_new();
    control->files = jobs_new(1);
    control->sources = sources_new();
    control->key_desk = key_desk_new();
    control->key_fetcher = key_fetcher_new(control->loop, control->resolver, control->key_desk);
    control->endpoints = endpoints_new(control);
    control->generations = generations_new(control);
    control->listeners = listeners_new(FIXTURE_WORKERS, NULL);
    control->traffic = traffic_new(FIXTURE_WORKERS);
    control->admission = admission_new();
    budget_init(&control->head_memory, 1024 * 1024);
    control->workers = memory_array(FIXTURE_WORKERS, sizeof(struct worker *));
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        f->rings[i] = line_ring_new(64 * 1024);
    control->access_writer = access_writer_start(f->rings, FIXTURE_WORKERS, &error);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        const struct worker_options options = {.number = i,
                                               .control = control->loop,
                                               .count = FIXTURE_WORKERS,
                                               .states = control->backend_states,
                                               .admission = control->admission,
                                               .access_log = f->rings[i],
                                               .head_memory = &control->head_memory,
                                               .traffic = control->traffic,
                                               .outage = control->outage};
        control->workers[i] = worker_start(&options, &error);
        cr_assert_not_null(control->workers[i]);
        control->worker_count++;
    }
}

static void count_drained(void *owner)
{
    struct control_fixture *f = owner;
    f->undrained--;
}

static bool is_at_rest(void *argument)
{
    const struct control_fixture *f = argument;
    return f->undrained == 0 && f->control.reports_out == 0 &&
           !generations_are_busy(f->control.generations);
}

static void note_posts_done(void *owner)
{
    struct control_fixture *f = owner;
    f->undrained = 0;
}

static bool has_no_sessions(void *argument)
{
    const struct control_fixture *f = argument;
    return endpoints_are_empty(f->control.endpoints);
}

void control_fixture_clear(struct control_fixture *f)
{
    struct control *control = &f->control;
    generations_close(control->generations);
    f->undrained = FIXTURE_WORKERS;
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        f->drained[i] = (struct post){.run = count_drained, .owner = f};
        worker_drain(control->workers[i], &f->drained[i]);
    }
    control_fixture_run_until(f, is_at_rest, f);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        worker_stop(control->workers[i]);
    /* Behind the snapshots that the workers have posted. */
    f->undrained = 1;
    struct post behind = {.run = note_posts_done, .owner = f};
    loop_post(control->loop, &behind);
    control_fixture_run_until(f, is_at_rest, f);
    endpoints_close(control->endpoints);
    endpoints_cut(control->endpoints);
    control_fixture_run_until(f, has_no_sessions, f);

    access_writer_stop(control->access_writer);
    generations_free(control->generations);
    endpoints_free(control->endpoints);
    listeners_free(control->listeners);
    admission_free(f->control.admission);
    traffic_free(control->traffic);
    health_checks_free(control->health_checks);
    backend_states_free(control->backend_states);
    key_fetcher_free(control->key_fetcher);
    key_desk_free(control->key_desk);
    resolver_free(control->resolver);
    loop_free(control->loop);
    jobs_free(control->files);
    redis_outage_free(control->outage);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        line_ring_free(f->rings[i]);
    sources_free(control->sources);
    cache_store_free(control->cache);
    free(control->workers);
    route_folder_clear(&f->folder);
}

/* --- loads -------------------------------------------------------------------------------------
 */

void control_fixture_write(struct control_fixture *f, const char *text)
{
    char *whole;
    cr_assert(asprintf(&whole,
                       "{ 'certs': 'certs', 'listen': { 'https': '127.0.0.1:0',"
                       " 'status': '127.0.0.1:0', 'admin': '%s' }, %s }",
                       f->admin, text) > 0);
    route_folder_write(&f->folder, "routes.json", whole);
    free(whole);
}

static bool has_ended(void *argument)
{
    const struct load_outcome *outcome;
    return load_ask_answer(argument, &outcome) == IO_OK;
}

struct load_ask *control_fixture_load(struct control_fixture *f,
                                      const struct load_outcome **outcome)
{
    struct load_ask *ask = generations_ask(f->control.generations, NULL);
    control_fixture_run_until(f, has_ended, ask);
    load_ask_answer(ask, outcome);
    return ask;
}
