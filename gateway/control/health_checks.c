#include "control/health_checks.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/descriptors.h"
#include "upstream/health_probe.h"

#include <stdlib.h>

enum {
    PROBES_LEAST = 4,
    DESCRIPTORS_A_PROBE = 32, /* of the process's so many one may be a check's */
    PACE_MS = 10,             /* checks beyond the most a millisecond wait so long at a time */
};

struct health_checks {
    struct loop *loop;
    struct backend_states *states;
    struct bell bell;      /* backends' servers have changed */
    struct table backends; /* by name, of struct checked_backend */
    struct health_schedule schedule;
    struct list due; /* struct server_check: those that are to begin, in turn */
    struct task task;
    struct deadline pace;
    unsigned asking; /* checks that have begun and not ended */
    bool is_closed;
    uint64_t counts[HEALTH_RESULTS];
};

struct checked_backend {
    struct health_checks *all;
    struct upstream_spec *spec;  /* a reference: the newest */
    struct backend_state *state; /* taken */
    struct backend_pull pull;
    struct server_set *set;       /* a reference */
    struct server_check **checks; /* of the set's servers, in its order */
    bool is_named;                /* by the generation that is being followed */
};

enum turn {
    TURN_NONE,             /* it does not begin by itself */
    TURN_DUE,              /* in the list of those */
    TURN_AWAITING_ADDRESS, /* its name is looked up for the first time */
    TURN_ASKING,           /* `probe` is out */
    TURN_RESTING,          /* until `next` */
};

struct server_check {
    struct checked_backend *backend;
    const struct set_server *server; /* of the backend's set */
    struct server_state *state;      /* a reference */
    enum turn turn;
    struct list_node place; /* TURN_DUE */
    struct task task;
    struct deadline next; /* when the next check is due: from the beginning of one */
    bool is_spread;       /* its times are apart from those of others that began with it */
    struct health_probe *probe;
    struct server_set *asked_of; /* a reference: where `probe` has its server's host from */
    struct server_health known;
};

/* The one writer of `turn`. */
static void enter(struct server_check *check, enum turn turn)
{
    struct health_checks *all = check->backend->all;
    list_remove(&check->place);
    all->asking += (turn == TURN_ASKING) - (check->turn == TURN_ASKING);
    check->turn = turn;
    if (turn == TURN_DUE)
        list_push_back(&all->due, &check->place);
    /* One more is to begin, or may. */
    if (!list_is_empty(&all->due))
        loop_wake(all->loop, &all->task);
}

static void arm_next(struct server_check *check)
{
    struct health_checks *all = check->backend->all;
    uint64_t every_ms = check->backend->spec->health.every_ms;
    deadline_set(all->loop, &check->next,
                 health_schedule_next_ms(&all->schedule, every_ms, !check->is_spread));
    check->is_spread = true;
}

/* --- what it comes to -------------------------------------------------------------------------
 */

static bool is_last_one_down(const struct checked_backend *backend)
{
    for (unsigned i = 0; i < backend->set->count; i++)
        if (backend->set->servers[i].weight > 0 &&
            backend->checks[i]->known.health.verdict != CHECK_DOWN)
            return false;
    return true;
}

static void tell(const struct server_check *check, enum check_verdict before)
{
    const struct health *health = &check->known.health;
    struct slice backend = check->backend->spec->name;
    char reason[HEALTH_REASON_SIZE];
    health_reason(health->bad, reason);
    if (health->verdict == CHECK_DOWN)
        log_event(LOG_WARN, "server_down", "%.*s: %s is down: %s, %u check%s in a row%s",
                  (int)backend.len, backend.at, check->state->name, reason, health->in_a_row,
                  health->in_a_row == 1 ? "" : "s",
                  is_last_one_down(check->backend) ? "; no server is up: all are tried" : "");
    else if (before == CHECK_DOWN)
        log_event(LOG_INFO, "server_up",
                  "%.*s: %s is up again: %u good check%s in a row; it was down: %s",
                  (int)backend.len, backend.at, check->state->name, health->in_a_row,
                  health->in_a_row == 1 ? "" : "s", reason);
    else
        log_event(LOG_DEBUG, "server_up", "%.*s: %s is up", (int)backend.len, backend.at,
                  check->state->name);
}

static void note(struct server_check *check, struct health_outcome outcome)
{
    struct checked_backend *backend = check->backend;
    struct health *health = &check->known.health;
    enum check_verdict before = health->verdict;
    backend->all->counts[outcome.result]++;
    if (!health_note(health, &backend->spec->health, outcome))
        return;
    check->known.since_ms = clock_wall_ms();
    if (before == CHECK_DOWN)
        atomic_store_explicit(&check->state->back_ms, loop_now_ms(backend->all->loop),
                              memory_order_relaxed);
    atomic_store_explicit(&check->state->verdict, health->verdict, memory_order_release);
    backend_state_ring(backend->state);
    tell(check, before);
}

/* --- one check --------------------------------------------------------------------------------
 */

static void stop_asking(struct server_check *check, enum turn next)
{
    health_probe_end(check->probe);
    check->probe = NULL;
    server_set_unref(check->asked_of);
    check->asked_of = NULL;
    enter(check, next);
}

static void await_outcome(struct server_check *check)
{
    struct health_outcome outcome;
    if (health_probe_answer(check->probe, &outcome) == IO_WAIT)
        return;
    stop_asking(check, TURN_RESTING);
    note(check, outcome);
}

static void ask(struct server_check *check)
{
    const struct upstream_spec *spec = check->backend->spec;
    const struct set_server *server = check->server;
    const struct health_question question = {
        .spec = &spec->health,
        .addresses = server->addresses,
        .address_count = server->address_count,
        .host = spec->health.host.len > 0 ? spec->health.host : slice_of(server->host),
        .names_clients = spec->names_clients,
    };
    arm_next(check);
    if (server->address_count > 0)
        check->probe = health_probe_start(check->backend->all->loop, &question, &check->task);
    if (check->probe != NULL) {
        check->asked_of = server_set_ref(check->backend->set);
        enter(check, TURN_ASKING);
        return;
    }
    enter(check, TURN_RESTING);
    note(check, (struct health_outcome){.result = server->address_count > 0 ? HEALTH_UNDECIDED
                                                                            : HEALTH_UNRESOLVED});
}

static void run_check(void *owner)
{
    struct server_check *check = owner;
    if (check->turn == TURN_ASKING)
        await_outcome(check);
    if (!deadline_passed(check->backend->all->loop, &check->next))
        return;
    if (check->turn == TURN_RESTING)
        enter(check, TURN_DUE);
    else if (check->turn == TURN_ASKING)
        arm_next(check); /* the one that was due is left out */
}

/* Those that are due, in turn, as many as may be. */
static void run_due(void *owner)
{
    struct health_checks *all = owner;
    unsigned most = descriptors_limit() / DESCRIPTORS_A_PROBE;
    struct list_node *first;
    if (most < PROBES_LEAST)
        most = PROBES_LEAST;
    while ((first = list_first(&all->due)) != NULL && all->asking < most) {
        struct server_check *check = container_of(first, struct server_check, place);
        if (check->server->known == ADDRESSES_AWAITED) {
            enter(check, TURN_AWAITING_ADDRESS);
        } else if (health_schedule_take(&all->schedule, loop_now_ms(all->loop),
                                        !check->is_spread)) {
            ask(check);
        } else {
            deadline_set(all->loop, &all->pace, PACE_MS);
            return;
        }
    }
}

/* --- the checks of a backend ------------------------------------------------------------------
 */

static struct server_check *check_new(struct checked_backend *backend,
                                      const struct set_server *server)
{
    struct server_check *check = memory_new(sizeof(*check));
    check->backend = backend;
    check->server = server;
    check->state = server_state_ref(server->state);
    check->known.since_ms = clock_wall_ms();
    task_init(&check->task, run_check, check);
    deadline_init(&check->next, &check->task);
    enter(check, TURN_DUE);
    return check;
}

static void free_check(void *owner)
{
    struct server_check *check = owner;
    server_state_unref(check->state);
    free(check);
}

static void halt(struct server_check *check)
{
    deadline_clear(&check->next);
    check->is_spread = false;
    if (check->probe != NULL)
        stop_asking(check, TURN_NONE);
    else
        enter(check, TURN_NONE);
}

static void end_check(struct server_check *check)
{
    halt(check);
    loop_bury(check->backend->all->loop, &check->task, free_check);
}

/* Takes the server's check out of the old ones, where the new one's place is the likeliest. */
static struct server_check *claim(struct server_check **old, unsigned count,
                                  const struct server_state *state, unsigned likely)
{
    for (unsigned i = 0; i < count; i++) {
        struct server_check **at = &old[(likely + i) % count];
        if (*at != NULL && (*at)->state == state) {
            struct server_check *check = *at;
            *at = NULL;
            return check;
        }
    }
    return NULL;
}

static void take_set(struct checked_backend *backend, struct server_set *set)
{
    struct server_check **old = backend->checks;
    unsigned old_count = backend->set != NULL ? backend->set->count : 0;
    backend->checks = memory_array(set->count + 1, sizeof(struct server_check *));
    for (unsigned i = 0; i < set->count; i++) {
        const struct set_server *server = &set->servers[i];
        struct server_check *check = claim(old, old_count, server->state, i);
        if (check == NULL)
            check = check_new(backend, server);
        else /* which was forgotten if it left and came back */
            atomic_store_explicit(&check->state->verdict, check->known.health.verdict,
                                  memory_order_relaxed);
        check->server = server;
        backend->checks[i] = check;
        if (check->turn == TURN_AWAITING_ADDRESS && server->known != ADDRESSES_AWAITED)
            enter(check, TURN_DUE);
    }
    for (unsigned i = 0; i < old_count; i++)
        if (old[i] != NULL)
            end_check(old[i]);
    free(old);
    server_set_unref(backend->set);
    backend->set = set;
}

/* Something about its servers has changed; often it is but what was said of one here. */
static void look_again(void *owner)
{
    struct checked_backend *backend = owner;
    struct server_set *set = backend_state_set(backend->state);
    if (set != backend->set && !backend->all->is_closed)
        take_set(backend, set);
    else
        server_set_unref(set);
}

/* --- backends that are checked ----------------------------------------------------------------
 */

static struct checked_backend *add_backend(struct health_checks *all, struct upstream_spec *spec)
{
    struct checked_backend *backend = memory_new(sizeof(*backend));
    backend->all = all;
    backend->spec = upstream_ref(spec);
    backend->state = backend_state_take(all->states, spec);
    backend_state_follow(backend->state, spec);
    backend_state_listen(backend->state, &backend->pull, &all->bell, look_again, backend);
    table_put(&all->backends, spec->name, backend);
    look_again(backend);
    return backend;
}

/* Another entry of it, which every check goes by from now on: those that are out begin anew. */
static void change_backend(struct checked_backend *backend, struct upstream_spec *spec)
{
    struct upstream_spec *before = backend->spec;
    for (unsigned i = 0; i < backend->set->count; i++)
        halt(backend->checks[i]);
    backend->spec = upstream_ref(spec);
    table_put(&backend->all->backends, spec->name, backend); /* whose name goes with the old one */
    backend_state_follow(backend->state, spec);
    look_again(backend);
    for (unsigned i = 0; i < backend->set->count; i++)
        enter(backend->checks[i], TURN_DUE);
    upstream_unref(before);
}

static void end_backend(struct checked_backend *backend)
{
    for (unsigned i = 0; i < backend->set->count; i++)
        end_check(backend->checks[i]);
    backend_state_unlisten(backend->state, &backend->pull);
    backend_state_drop(backend->state);
    server_set_unref(backend->set);
    upstream_unref(backend->spec);
    free(backend->checks);
    free(backend);
}

/* Nobody knows any more how its servers are. */
static void forget_backend(struct checked_backend *backend)
{
    for (unsigned i = 0; i < backend->set->count; i++)
        atomic_store_explicit(&backend->set->servers[i].state->verdict, CHECK_UNKNOWN,
                              memory_order_relaxed);
    backend_state_ring(backend->state);
    table_remove(&backend->all->backends, backend->spec->name);
    end_backend(backend);
}

static void forget_unnamed(struct health_checks *all)
{
    struct checked_backend **unnamed =
        memory_array(all->backends.count + 1, sizeof(struct checked_backend *));
    const struct table_entry *entry;
    size_t count = 0;
    for (size_t at = 0; (entry = table_next(&all->backends, &at)) != NULL;) {
        struct checked_backend *backend = entry->value;
        if (!backend->is_named)
            unnamed[count++] = backend;
        backend->is_named = false;
    }
    for (size_t i = 0; i < count; i++)
        forget_backend(unnamed[i]);
    free(unnamed);
}

void health_checks_follow(struct health_checks *all, struct upstream_spec *const *backends,
                          unsigned count)
{
    if (all->is_closed)
        return;
    for (unsigned i = 0; i < count; i++) {
        struct upstream_spec *spec = backends[i];
        if (!spec->health.is_on)
            continue;
        struct checked_backend *backend = table_get(&all->backends, spec->name);
        if (backend == NULL)
            backend = add_backend(all, spec);
        else if (backend->spec != spec)
            change_backend(backend, spec);
        backend->is_named = true;
    }
    forget_unnamed(all);
}

/* --- life -------------------------------------------------------------------------------------
 */

struct health_checks *health_checks_new(struct loop *loop, struct backend_states *states)
{
    struct health_checks *all = memory_new(sizeof(*all));
    all->loop = loop;
    all->states = states;
    bell_init(&all->bell, loop);
    health_schedule_init(&all->schedule, random_seed());
    list_init(&all->due);
    task_init(&all->task, run_due, all);
    deadline_init(&all->pace, &all->task);
    return all;
}

void health_checks_close(struct health_checks *all)
{
    const struct table_entry *entry;
    all->is_closed = true;
    for (size_t at = 0; (entry = table_next(&all->backends, &at)) != NULL;) {
        struct checked_backend *backend = entry->value;
        for (unsigned i = 0; i < backend->set->count; i++)
            halt(backend->checks[i]);
    }
    deadline_clear(&all->pace);
}

void health_checks_free(struct health_checks *all)
{
    const struct table_entry *entry;
    if (all == NULL)
        return;
    for (size_t at = 0; (entry = table_next(&all->backends, &at)) != NULL;)
        end_backend(entry->value);
    table_clear(&all->backends);
    deadline_clear(&all->pace);
    bell_clear(&all->bell);
    loop_bury(all->loop, &all->task, free);
}

/* --- what is known ----------------------------------------------------------------------------
 */

const struct checked_backend *health_checks_find(const struct health_checks *all,
                                                 struct slice backend)
{
    return table_get(&all->backends, backend);
}

const struct server_health *health_checks_server(const struct checked_backend *backend,
                                                 struct slice server, unsigned likely)
{
    unsigned count = backend->set->count;
    for (unsigned i = 0; i < count; i++) {
        const struct server_check *check = backend->checks[(likely + i) % count];
        if (slice_equal(slice_of(check->state->name), server))
            return &check->known;
    }
    return NULL;
}

uint64_t health_checks_count(const struct health_checks *all, enum health_result result)
{
    return all->counts[result];
}
