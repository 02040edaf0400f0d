#include "upstream/server.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/connection.h"

#include <stdlib.h>

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

static void set_addresses(struct server *server, const struct address *addresses, int count)
{
    if (count != server->address_count) {
        free(server->addresses);
        server->addresses = memory_array((size_t)count, sizeof(*addresses));
    }
    memcpy(server->addresses, addresses, sizeof(*addresses) * (size_t)count);
    server->address_count = count;
}

/* The task: a look-up has ended. Old addresses stay in use when there are no new ones. */
static void take_addresses(void *owner)
{
    struct server *server = owner;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    int count = 0;
    const char *reason = NULL;
    enum io answer = IO_WAIT;
    if (server->lookup != NULL)
        answer = lookup_answer(server->lookup, addresses, &count, &reason);
    if (answer == IO_WAIT)
        return;
    if (answer == IO_OK) {
        keep_first(server, addresses, count);
        set_addresses(server, addresses, count);
    } else {
        log_event(LOG_WARN, "name_unresolved", "%s: %s%s", server->lookup_name, reason,
                  server->address_count > 0 ? "; its last addresses stay in use" : "");
    }
    lookup_end(server->lookup);
    server->lookup = NULL;
    server->answer_count++;
    server->answered_ms = now_of(server);
    server_wake_resolving(server);
}

static bool is_lookup_due(const struct server *server)
{
    uint64_t age_ms = server->address_count > 0 ? SERVER_ADDRESS_AGE_MS : SERVER_UNKNOWN_AGE_MS;
    return server->lookup == NULL &&
           (server->answer_count == 0 || now_of(server) - server->answered_ms >= age_ms);
}

enum io server_find_addresses(struct server *server)
{
    if (server->lookup_name == NULL)
        return IO_OK;
    if (is_lookup_due(server)) {
        const struct pool_env *env = &server->shared->env;
        server->lookup = lookup_start(env->resolver, env->loop, server->lookup_name, server->port,
                                      &server->task);
    }
    if (server->address_count > 0)
        return IO_OK;
    return server->lookup != NULL ? IO_WAIT : IO_ERROR;
}

/* --- being skipped ------------------------------------------------------------------------ */

bool server_is_skipped(const struct server *server)
{
    return server->skip_ms != 0 && now_of(server) < server->skip_until_ms;
}

void server_note_chosen(struct server *server)
{
    if (server->skip_ms != 0 && !server_is_skipped(server))
        server->skip_until_ms = now_of(server) + server->skip_ms;
}

void server_note_connected(struct server *server, int address_index)
{
    if (server->skip_ms != 0)
        log_event(LOG_INFO, "server_back", "%s can be connected to again", server->name);
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
        log_event(LOG_WARN, "server_skipped", "%s cannot be connected to", server->name);
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

void server_count(struct server *server, enum upstream_outcome outcome)
{
    if (server->counters == NULL)
        server->counters = server_view_counters(
            server->shared->env.counters, slice_of(server->shared->name), slice_of(server->name));
    counter_add(&server->counters[outcome], 1);
}

/* --- life --------------------------------------------------------------------------------- */

struct server *server_new(struct pool_shared *shared, const struct server_spec *spec)
{
    struct server *server = memory_new(sizeof(*server));
    const struct endpoint *endpoint = &spec->endpoint;
    server->shared = shared;
    server->references = 1;
    server->name = slice_duplicate(spec->name);
    server->host = slice_duplicate(slice_of(endpoint->host));
    server->weight = spec->weight;
    server->is_backup = spec->is_backup;
    for (int use = 0; use < USE_COUNT; use++)
        list_init(&server->connections[use]);
    task_init(&server->task, take_addresses, server);
    if (endpoint->kind == ENDPOINT_NAME) {
        server->lookup_name = slice_duplicate(slice_of(endpoint->name));
        server->port = endpoint->port;
    } else {
        set_addresses(server, &endpoint->address, 1);
    }
    return server;
}

void server_ref(struct server *server)
{
    server->references++;
}

static void free_server(void *owner)
{
    struct server *server = owner;
    free(server->name);
    free(server->host);
    free(server->lookup_name);
    free(server->addresses);
    free(server);
}

void server_unref(struct server *server)
{
    assert(server->references > 0);
    if (--server->references > 0)
        return;
    if (server->lookup != NULL)
        lookup_end(server->lookup);
    loop_bury(server->shared->env.loop, &server->task, free_server);
}
