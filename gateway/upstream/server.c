#include "upstream/server.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/connection.h"
#include "upstream/ejection.h"

#include <stdlib.h>

enum { SLOW_START_PARTS = 10 }; /* so small a share at first */

static uint64_t now_of(const struct server *server)
{
    return loop_now_ms(server->shared->env.loop);
}

/* --- addresses ---------------------------------------------------------------------------- */

static void put_first(struct address *addresses, int index)
{
    struct address chosen = addresses[index];
    memmove(addresses + 1, addresses, sizeof(*addresses) * (size_t)index);
    addresses[0] = chosen;
}

/* The address that worked last stays first as long as the name has it. */
static void keep_first(const struct server *server, struct address *addresses, int count)
{
    for (int i = 0; i < count && server->address_count > 0; i++) {
        if (address_equal(&addresses[i], &server->addresses[0])) {
            put_first(addresses, i);
            return;
        }
    }
}

static bool lacks_one_of(const struct set_server *from, const struct server *server)
{
    for (int i = 0; i < server->address_count; i++) {
        bool is_there = false;
        for (int k = 0; k < from->address_count && !is_there; k++)
            is_there = address_equal(&server->addresses[i], &from->addresses[k]);
        if (!is_there)
            return true;
    }
    return false;
}

static void follow_addresses(struct server *server, const struct set_server *from)
{
    bool some_are_gone = lacks_one_of(from, server);
    size_t bytes = sizeof(*from->addresses) * (size_t)from->address_count;
    struct address *addresses;

    if (from->address_count == 0) /* and never had any */
        return;
    addresses = memory_array((size_t)from->address_count, sizeof(*addresses));
    memcpy(addresses, from->addresses, bytes);
    keep_first(server, addresses, from->address_count);
    free(server->addresses);
    server->addresses = addresses;
    server->address_count = from->address_count;
    if (some_are_gone) {
        server->moves++;
        server_close_misplaced(server);
    }
}

void server_follow(struct server *server, const struct set_server *from)
{
    server->share.weight = from->weight;
    server->share.is_backup = from->is_backup;
    server->known = from->known;
    if (strcmp(server->host, from->host) != 0) {
        free(server->host);
        server->host = slice_duplicate(slice_of(from->host));
    }
    follow_addresses(server, from);
    server_wake_resolving(server);
}

/* --- being skipped ------------------------------------------------------------------------ */

bool server_is_skipped(const struct server *server)
{
    return server->skip_ms != 0 && now_of(server) < server->skip_until_ms;
}

bool server_is_usable(const struct server *server)
{
    const struct server_state *state = server->state;

    return !server_is_skipped(server) &&
           atomic_load_explicit(&state->verdict, memory_order_relaxed) != CHECK_DOWN &&
           !ejection_is_on(state, now_of(server));
}

uint32_t server_weight_now(const struct server *server)
{
    uint64_t slow_ms = server->shared->slow_start_ms, age_ms;
    uint64_t back_ms = atomic_load_explicit(&server->state->back_ms, memory_order_relaxed);
    uint32_t full = server->share.weight * 256;

    if (slow_ms == 0 || back_ms == 0 || full == 0 || now_of(server) >= back_ms + slow_ms)
        return full;
    age_ms = now_of(server) > back_ms ? now_of(server) - back_ms : 0;
    if (age_ms < slow_ms / SLOW_START_PARTS)
        age_ms = slow_ms / SLOW_START_PARTS;
    return (uint32_t)((full * age_ms + slow_ms - 1) / slow_ms);
}

void server_note_chosen(struct server *server)
{
    if (server->skip_ms != 0 && !server_is_skipped(server))
        server->skip_until_ms = now_of(server) + server->skip_ms;
}

void server_note_connected(struct server *server, int address_index)
{
    if (server->skip_ms != 0) {
        log_event(LOG_INFO, "server_back", "%s can be connected to again", server_name(server));
        turn_note_free(&server->shared->turn);
    }
    server->skip_ms = 0;
    if (address_index > 0 && address_index < server->address_count)
        put_first(server->addresses, address_index);
}

/* Connections that fail together count as one failure. */
void server_note_unreachable(struct server *server)
{
    uint64_t now_ms = now_of(server);
    server->connect_failures++;
    if (server->skip_ms == 0) {
        log_event(LOG_WARN, "server_skipped", "%s cannot be connected to", server_name(server));
        server->skip_ms = SERVER_SKIP_MIN_MS;
    } else if (now_ms - server->failed_ms < server->skip_ms) {
        return;
    } else {
        server->skip_ms *= 2;
        if (server->skip_ms > SERVER_SKIP_MAX_MS)
            server->skip_ms = SERVER_SKIP_MAX_MS;
    }
    server->failed_ms = now_ms;
    server->skip_until_ms = now_ms + server->skip_ms;
}

static void await_back(struct server *server)
{
    uint64_t until_ms = atomic_load(&server->state->ejected_until_ms), now_ms = now_of(server);

    deadline_set(server->shared->env.loop, &server->back,
                 until_ms > now_ms ? until_ms - now_ms : 1);
}

static void consider_ejection(struct server *server, enum upstream_outcome outcome)
{
    const struct pool_shared *shared = server->shared;

    if (ejection_note(&shared->eject, shared->backend, server->state, outcome)) {
        server_close_idle(server);
        await_back(server);
    }
}

static void check_back(void *owner)
{
    struct server *server = owner;

    if (!deadline_passed(server->shared->env.loop, &server->back))
        return;
    deadline_clear(&server->back);
    if (server->is_retired)
        return;
    ejection_end(server->shared->backend, server->state);
    if (ejection_is_on(server->state,
                       now_of(server))) /* it was prolonged, or is over in a moment */
        await_back(server);
}

/* --- room for connections ----------------------------------------------------------------- */

static bool is_full(const struct server *server)
{
    unsigned most = server->shared->max_connections;

    return most != 0 && atomic_load(&server->state->connections) >= most;
}

bool server_has_room(const struct server *server)
{
    return !is_full(server) || server->connection_count[USE_IDLE] > 0;
}

bool server_take_room(struct server *server)
{
    _Atomic uint32_t *connections = &server->state->connections;
    unsigned most = server->shared->max_connections;
    uint32_t before = atomic_load(connections);

    do {
        if (most != 0 && before >= most)
            return false;
    } while (!atomic_compare_exchange_weak(connections, &before, before + 1));
    return true;
}

bool server_make_room(struct server *server)
{
    while (!server_take_room(server)) {
        if (!server_close_oldest_idle(server))
            return false;
    }
    return true;
}

void server_give_room(struct server *server)
{
    struct pool_shared *shared = server->shared;

    atomic_fetch_sub(&server->state->connections, 1);
    if (shared->max_connections != 0)
        turn_note_free(&shared->turn);
}

bool server_lacks_room_for_idle(struct server *server)
{
    struct pool_shared *shared = server->shared;

    if (!is_full(server))
        return false;
    if (atomic_load(&server->state->connections) > shared->max_connections)
        return true;
    if (!turn_others_wait(&shared->turn))
        return false;
    if (shared->turn.waiting > 0 && shared->reuses++ < SERVER_REUSES_MAX)
        return false;
    shared->reuses = 0;
    return true;
}

void server_close_surplus(struct server *server)
{
    unsigned most = server->shared->max_connections;

    if (!is_full(server))
        return;
    if (turn_others_wait(&server->shared->turn))
        server_close_idle(server);
    while (atomic_load(&server->state->connections) > most && server_close_oldest_idle(server))
        ;
}

/* --- counting ----------------------------------------------------------------------------- */

void server_count(struct server *server, enum upstream_outcome outcome)
{
    if (server->counters == NULL)
        server->counters =
            server_view_counters(server->shared->env.counters, slice_of(server->shared->name),
                                 slice_of(server_name(server)));
    counter_add(&server->counters[outcome], 1);
    if (server->shared->eject.after > 0)
        consider_ejection(server, outcome);
}

/* --- life --------------------------------------------------------------------------------- */

struct server *server_new(struct pool_shared *shared, const struct set_server *from)
{
    struct server *server = memory_new(sizeof(*server));

    server->shared = shared;
    server->references = 1;
    server->state = server_state_ref(from->state);
    server->share.id = server->state->id;
    server->share.in_flight = &server->state->in_flight;
    server->host = slice_duplicate(slice_of(from->host));
    for (int use = 0; use < USE_COUNT; use++)
        list_init(&server->connections[use]);
    task_init(&server->task, check_back, server);
    deadline_init(&server->back, &server->task);
    server_follow(server, from);
    return server;
}

void server_ref(struct server *server)
{
    server->references++;
}

static void free_server(void *owner)
{
    struct server *server = owner;

    server_state_unref(server->state);
    free(server->host);
    free(server->addresses);
    free(server);
}

void server_unref(struct server *server)
{
    assert(server->references > 0);
    if (--server->references > 0)
        return;
    deadline_clear(&server->back);
    loop_bury(server->shared->env.loop, &server->task, free_server);
}
