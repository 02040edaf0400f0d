#include "control/gateway.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/terminal.h"
#include "control/admin_places.h"
#include "control/control.h"
#include "control/endpoints.h"
#include "control/generations.h"
#include "control/key_fetcher.h"
#include "control/privileges.h"
#include "control/sandbox.h"
#include "control/signals.h"
#include "control/systemd.h"
#include "net/descriptors.h"
#include "net/redis_outage.h"
#include "policy/password_checks.h"
#include "policy/rate_table.h"
#include "version.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LOG_RING_BYTES = 1024 * 1024,
    RECENT_BYTES = 2 * 1024 * 1024,
    RECENT_BYTES_A_WORKER = 256 * 1024,
    FILE_THREADS = 2,
    VERIFY_THREADS = 2,
    PASSWORD_THREADS = 2,
    SIGNATURES_WAITING = 512, /* by thread; of RSA-2048: 250 ms of work */
    SIGNING_PATIENCE_MS = 20,
    HEAD_MEMORY_BYTES = 64 * 1024 * 1024,     /* for requests' heads that are not complete */
    ENCODER_MEMORY_BYTES = 256 * 1024 * 1024, /* for answers being compressed */
    TICKET_PERIOD_S = 3600,
    TICKET_CHECK_MS = 60 * 1000,
    LOAD_PATIENCE_MS = 5 * 1000,
    CLOSING_MS = 1000, /* for the last answers of admin and status */
};

struct gateway {
    struct control control;
    struct signals *signals;
    struct deadline deadline; /* of the state */
    struct load_ask *first_load;
    struct line_ring **rings;
    unsigned ring_count;
    struct post *drained; /* one per worker */
    unsigned undrained;
    unsigned ending_signals;
    struct post stopped;
    bool workers_stopped, posts_done;
    bool is_cut;
    bool awaits_load; /* all else has ended */
    struct task ticket_task;
    struct deadline ticket_deadline;
    int exit_code;
};

const char *control_state_name(enum control_state state)
{
    switch (state) {
    case CONTROL_STARTING: return "starting";
    case CONTROL_SERVING: return "serving";
    default: return "draining";
    }
}

/* The one writer of the state; 0 ms: no deadline. */
static void enter(struct gateway *g, enum control_state state, uint64_t deadline_ms)
{
    g->control.state = state;
    deadline_set(g->control.loop, &g->deadline, deadline_ms);
}

/* --- starting ----------------------------------------------------------------------------------
 */

/* Before any thread: each has what the one that started it had. The route file is looked into first
 * where there is something to give up, since it says what may be kept, and who serves. */
static bool give_up_rights(const char *config_file, struct error *error)
{
    struct globals *wanted = privileges_are_held() ? snapshot_peek(config_file) : NULL;
    const struct process_user *user = wanted != NULL ? &wanted->process_user : NULL;

    if (user != NULL && user->user != NULL && geteuid() == 0 && !wanted->admin_is_named)
        admin_place_hand_over(user->uid, user->gid);
    bool is_done = privileges_drop(wanted, error);
    globals_unref(wanted);
    if (is_done)
        sandbox_enter();
    return is_done;
}

static unsigned count_cpus(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                              : sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return 1;
    return count > GATEWAY_WORKERS_MAX ? GATEWAY_WORKERS_MAX : (unsigned)count;
}

static void turn_ticket_keys(void *owner)
{
    struct gateway *g = owner;
    ticket_keys_turn(g->control.ticket_keys, (uint64_t)(clock_wall_ms() / 1000));
    deadline_set(g->control.loop, &g->ticket_deadline, TICKET_CHECK_MS);
}

/* Enough for the usual 10,000 requests of the process however they fall on its workers, as long as
 * those are few. */
static size_t recent_bytes(unsigned workers)
{
    size_t share = RECENT_BYTES / workers;
    return share > RECENT_BYTES_A_WORKER ? share : RECENT_BYTES_A_WORKER;
}

static bool start_workers(struct gateway *g, unsigned count, struct error *error)
{
    struct control *control = &g->control;
    g->rings = memory_array(count, sizeof(struct line_ring *));
    g->drained = memory_array(count, sizeof(*g->drained));
    control->workers = memory_array(count, sizeof(struct worker *));
    control->listeners = listeners_new(count, control->inherited);
    control->traffic = traffic_new(count);
    control->admission = admission_new();
    control->rates = rate_table_new();
    control->outage = redis_outage_new();
    if (control->admission == NULL || control->rates == NULL) {
        error_set(error, "no memory for counting clients");
        return false;
    }
    budget_init(&control->encoder_memory, ENCODER_MEMORY_BYTES);
    budget_init(&control->head_memory, HEAD_MEMORY_BYTES);
    struct slice sticky_key = slice_make((const char *)control->sticky_key, MAC_KEY_BYTES);
    for (; g->ring_count < count; g->ring_count++)
        g->rings[g->ring_count] = line_ring_new(LOG_RING_BYTES);
    control->access_writer = access_writer_start(g->rings, count, error);
    if (control->access_writer == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const struct worker_options options = {.number = i,
                                               .control = control->loop,
                                               .count = count,
                                               .states = control->backend_states,
                                               .admission = control->admission,
                                               .rates = control->rates,
                                               .outage = control->outage,
                                               .files = control->files,
                                               .tls_jobs = control->tls_jobs,
                                               .passwords = control->password_checks,
                                               .memory_return = control->memory_return,
                                               .access_log = g->rings[i],
                                               .sticky_key = sticky_key,
                                               .encoder_memory = &control->encoder_memory,
                                               .head_memory = &control->head_memory,
                                               .recent_bytes = recent_bytes(count),
                                               .traffic = control->traffic,
                                               .key_desk = control->key_desk};
        control->workers[i] = worker_start(&options, error);
        if (control->workers[i] == NULL)
            return false;
        control->worker_count++;
    }
    return true;
}

static void say_ready(struct gateway *g)
{
    const struct control *control = &g->control;
    struct buffer line = {0};
    buffer_printf(&line, "{\"event\":\"ready\",\"generation\":%llu,\"https\":",
                  (unsigned long long)generations_current(control->generations)->generation);
    listeners_print_json(control->listeners, LISTEN_HTTPS, &line);
    buffer_append_text(&line, ",\"http\":");
    listeners_print_json(control->listeners, LISTEN_HTTP, &line);
    buffer_append_text(&line, ",\"status\":");
    listeners_print_json(control->listeners, LISTEN_STATUS, &line);
    buffer_append_text(&line, ",\"admin\":");
    json_append_text(&line, endpoints_admin_address(control->endpoints));
    buffer_printf(&line, ",\"workers\":%u}", control->worker_count);
    buffer_append(&line, slice_make("", 1));
    log_raw(buffer_content(&line).at);
    buffer_clear(&line);
}

/* To whoever started it, whatever the log's level. */
static void print_problems(const struct load_outcome *outcome)
{
    struct buffer text = {0};
    problems_print(&outcome->problems, &text, terminal_takes_colour(STDERR_FILENO));
    struct slice rest = buffer_content(&text);
    while (rest.len > 0) {
        ssize_t sent = write(STDERR_FILENO, rest.at, rest.len);
        if (sent <= 0)
            break;
        rest = slice_skip(rest, (size_t)sent);
    }
    buffer_clear(&text);
}

/* --- the states --------------------------------------------------------------------------------
 */

static void start_draining(struct gateway *g);

/* True when the state has changed and the next one may have something to do: so everywhere below.
 */
static bool finish_start(struct gateway *g)
{
    struct control *control = &g->control;
    const struct load_outcome *outcome;
    if (load_ask_answer(g->first_load, &outcome) == IO_WAIT)
        return false;
    bool is_refused = load_is_refused(outcome);
    if (is_refused) {
        g->exit_code = outcome->result == LOAD_TOO_LATE  ? GATEWAY_FINE
                       : outcome->result == LOAD_INVALID ? GATEWAY_INVALID
                                                         : GATEWAY_FAILED;
        if (g->exit_code != GATEWAY_FINE)
            print_problems(outcome);
        start_draining(g);
    } else {
        enter(g, CONTROL_SERVING, 0);
        say_ready(g);
        systemd_started(control->systemd, outcome);
    }
    load_ask_end(g->first_load);
    g->first_load = NULL;
    return true;
}

static bool start_delay(struct gateway *g)
{
    const struct control *control = &g->control;
    if (!control->drain_wanted)
        return false;
    const struct globals *globals = generations_current(control->generations)->globals;
    uint64_t delay_ms = globals->drain_delay_ms, timeout_ms = globals->drain_timeout_ms;
    if (delay_ms > 0)
        log_event(LOG_INFO, "draining",
                  "not ready any more; new connections are accepted for another %llu ms",
                  (unsigned long long)delay_ms);
    else
        log_event(LOG_INFO, "draining", "listeners close; what is in flight finishes");
    if (delay_ms > 0)
        systemd_draining(control->systemd, "not ready any more, but new connections are accepted",
                         timeout_ms > 0 ? delay_ms + timeout_ms : 0);
    generations_close(control->generations);
    enter(g, CONTROL_DELAYING, delay_ms);
    return true;
}

static void count_drained(void *owner)
{
    struct gateway *g = owner;
    assert(g->undrained > 0);
    g->undrained--;
    loop_wake(g->control.loop, &g->control.task);
}

static void start_draining(struct gateway *g)
{
    struct control *control = &g->control;
    const struct snapshot *snapshot = generations_current(control->generations);
    generations_close(control->generations);
    health_checks_close(control->health_checks);
    g->undrained = control->worker_count;
    for (unsigned i = 0; i < control->worker_count; i++) {
        g->drained[i] = (struct post){.run = count_drained, .owner = g};
        worker_drain(control->workers[i], &g->drained[i]);
    }
    uint64_t timeout_ms = snapshot != NULL ? snapshot->globals->drain_timeout_ms : 0;
    if (snapshot != NULL) /* a start that failed has nothing in flight */
        systemd_draining(control->systemd, "what is in flight finishes", timeout_ms);
    enter(g, CONTROL_DRAINING, timeout_ms);
}

static bool finish_delay(struct gateway *g)
{
    struct control *control = &g->control;
    bool is_over = g->deadline.due_ms == 0 || deadline_passed(control->loop, &g->deadline);
    /* A generation on its way opens listeners: first it arrives, then they close. */
    if (!is_over || generations_are_publishing(control->generations))
        return false;
    start_draining(g);
    return true;
}

static void note_posts_done(void *owner)
{
    struct gateway *g = owner;
    g->posts_done = true;
    loop_wake(g->control.loop, &g->control.task);
}

static void stop_workers(struct gateway *g)
{
    struct control *control = &g->control;
    for (unsigned i = 0; i < control->worker_count; i++)
        worker_stop(control->workers[i]);
    control->worker_count = 0;
    /* What they have posted is ahead of this one. */
    g->stopped = (struct post){.run = note_posts_done, .owner = g};
    loop_post(control->loop, &g->stopped);
}

/* For a moment: a file system that hangs does not keep the gateway from its end. */
static bool awaits_load(struct gateway *g)
{
    struct generations *generations = g->control.generations;
    if (!generations_are_busy(generations))
        return false;
    if (!g->awaits_load) {
        g->awaits_load = true;
        deadline_set(g->control.loop, &g->deadline, LOAD_PATIENCE_MS);
    }
    if (generations_are_publishing(generations) || !deadline_passed(g->control.loop, &g->deadline))
        return true;
    log_event(LOG_WARN, "load_abandoned",
              "a load does not come back, does a file system hang? It is left behind");
    generations_abandon(generations);
    return false;
}

static bool finish_draining(struct gateway *g)
{
    struct control *control = &g->control;
    if (g->undrained > 0) {
        if (!g->is_cut && deadline_passed(control->loop, &g->deadline)) {
            g->is_cut = true;
            log_event(LOG_WARN, "drain_timeout",
                      "drain_timeout is over: what is still in flight is cut");
            for (unsigned i = 0; i < control->worker_count; i++)
                worker_cut(control->workers[i]);
        }
        return false;
    }
    if (control->reports_out > 0 || awaits_load(g))
        return false;
    if (!g->workers_stopped) {
        g->workers_stopped = true;
        stop_workers(g);
    }
    if (!g->posts_done)
        return false;
    if (generations_current(control->generations) != NULL)
        log_event(LOG_INFO, "drained", "the last connection has ended");
    endpoints_close(control->endpoints);
    enter(g, CONTROL_CLOSING, CLOSING_MS);
    return true;
}

static bool finish_closing(struct gateway *g)
{
    struct control *control = &g->control;
    if (!endpoints_are_empty(control->endpoints) && !deadline_passed(control->loop, &g->deadline))
        return false;
    endpoints_cut(control->endpoints);
    enter(g, CONTROL_STOPPED, 0);
    deadline_clear(&g->ticket_deadline);
    loop_stop(control->loop);
    return false;
}

static void run_gateway(void *owner)
{
    struct gateway *g = owner;
    bool goes_on = true;
    while (goes_on) {
        switch (g->control.state) {
        case CONTROL_STARTING: goes_on = finish_start(g); break;
        case CONTROL_SERVING: goes_on = start_delay(g); break;
        case CONTROL_DELAYING: goes_on = finish_delay(g); break;
        case CONTROL_DRAINING: goes_on = finish_draining(g); break;
        case CONTROL_CLOSING: goes_on = finish_closing(g); break;
        case CONTROL_STOPPED: return;
        }
    }
}

void control_drain(struct control *control)
{
    control->drain_wanted = true;
    loop_wake(control->loop, &control->task);
}

/* --- signals -----------------------------------------------------------------------------------
 */

static void answer_signal(void *owner, int number)
{
    struct gateway *g = owner;
    struct control *control = &g->control;
    if (number == SIGHUP) {
        generations_load(control->generations, LOAD_WHOLE);
    } else if (number == SIGUSR1) {
        if (control->access_writer != NULL)
            access_writer_reopen(control->access_writer);
    } else if (signal_ends(number) && ++g->ending_signals == 1) {
        control_drain(control);
    } else {
        log_event(LOG_WARN, "exit", "a second signal: what is still in flight is cut");
        const char *path = endpoints_admin_path(control->endpoints);
        if (path != NULL)
            unlink(path);
        _exit(GATEWAY_FAILED);
    }
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* False: it cannot serve; what was started is to be drained like everything else. */
static bool start(struct gateway *g, const struct gateway_options *options, struct error *error)
{
    struct control *control = &g->control;
    unsigned workers = options->workers > 0 ? options->workers : count_cpus();
    log_event(LOG_INFO, "starting", "sallyport %s, %u worker%s, %s", SALLYPORT_VERSION, workers,
              workers == 1 ? "" : "s", options->config_file);
    control->config_file = options->config_file;
    control->started_ms = clock_monotonic_ms();
    task_init(&control->task, run_gateway, g);
    deadline_init(&g->deadline, &control->task);
    task_init(&g->ticket_task, turn_ticket_keys, g);
    deadline_init(&g->ticket_deadline, &g->ticket_task);
    control->systemd = systemd_new(control->loop);
    control->inherited = inherited_new();
    control->ticket_keys = ticket_keys_new(TICKET_PERIOD_S);
    mac_make_key(control->sticky_key);
    control->resolver = resolver_new(control->loop, NULL);
    control->backend_states = backend_states_new(control->loop, control->resolver);
    control->health_checks = health_checks_new(control->loop, control->backend_states);
    control->files = jobs_new(FILE_THREADS);
    control->tls_jobs.verifiers = jobs_new(VERIFY_THREADS);
    control->tls_jobs.signers = jobs_new_yielding(workers, SIGNATURES_WAITING * workers);
    control->tls_jobs.signing_patience_ms = SIGNING_PATIENCE_MS;
    control->passwords = jobs_new(PASSWORD_THREADS);
    control->password_checks = password_checks_new(control->passwords);
    control->sources = sources_new();
    control->cache = cache_store_new();
    control->memory_return = memory_return_new(control->loop, control->files);
    control->key_desk = key_desk_new();
    control->key_fetcher = key_fetcher_new(control->loop, control->resolver, control->key_desk);
    control->endpoints = endpoints_new(control);
    control->generations = generations_new(control);
    g->signals = signals_new(control->loop, answer_signal, g, error);
    return g->signals != NULL && start_workers(g, workers, error);
}

static void run(struct gateway *g, const struct gateway_options *options)
{
    struct error error;
    if (start(g, options, &error)) {
        g->first_load = generations_ask(g->control.generations, &g->control.task);
        turn_ticket_keys(g);
    } else {
        log_event(LOG_ERROR, "start", "%s", error.message);
        g->exit_code = GATEWAY_FAILED;
        start_draining(g);
        loop_wake(g->control.loop, &g->control.task);
    }
    loop_run(g->control.loop);
}

static void free_everything(struct gateway *g)
{
    struct control *control = &g->control;
    access_writer_stop(control->access_writer);
    signals_free(g->signals);
    generations_free(control->generations);
    endpoints_free(control->endpoints);
    listeners_free(control->listeners);
    inherited_free(control->inherited);
    systemd_free(control->systemd);
    traffic_free(control->traffic);
    admission_free(control->admission);
    rate_table_free(control->rates);
    redis_outage_free(control->outage);
    health_checks_free(control->health_checks);
    backend_states_free(control->backend_states);
    key_fetcher_free(control->key_fetcher);
    key_desk_free(control->key_desk);
    resolver_free(control->resolver);
    memory_return_free(control->memory_return);
    loop_free(control->loop);
    jobs_free(control->files);
    jobs_free(control->tls_jobs.verifiers);
    jobs_free(control->tls_jobs.signers);
    jobs_free(control->passwords);
    password_checks_free(control->password_checks);
    sources_free(control->sources);
    cache_store_free(control->cache);
    ticket_keys_free(control->ticket_keys);
    for (unsigned i = 0; i < g->ring_count; i++)
        line_ring_free(g->rings[i]);
    free(g->rings);
    free(g->drained);
    free(control->workers);
    buffer_cache_clear();
}

int gateway_run(const struct gateway_options *options)
{
    struct gateway g = {.exit_code = GATEWAY_FINE};
    struct error error;
    signals_block();
    descriptors_begin();
    if (!give_up_rights(options->config_file, &error)) {
        log_event(LOG_ERROR, "start", "%s", error.message);
        return GATEWAY_FAILED;
    }
    g.control.loop = loop_new();
    if (g.control.loop == NULL) {
        log_event(LOG_ERROR, "start", "cannot make an event loop: %s", strerror(errno));
        return GATEWAY_FAILED;
    }
    run(&g, options);
    /* The rest takes a second at most, but somebody may not want to wait for that either. */
    if (g.ending_signals > 0)
        signals_exit_at_once(endpoints_admin_path(g.control.endpoints));
    bool has_served = generations_current(g.control.generations) != NULL;
    if (generations_have_abandoned(g.control.generations)) {
        access_writer_stop(g.control.access_writer);
        _exit(g.exit_code); /* its thread may still use the rest */
    }
    free_everything(&g);
    if (has_served)
        log_event(LOG_INFO, "exit", "everything has ended in good order");
    return g.exit_code;
}
