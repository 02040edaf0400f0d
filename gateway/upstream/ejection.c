#include "upstream/ejection.h"

#include "base/clock.h"
#include "base/log.h"

struct candidate {
    const struct eject_spec *spec;
    struct server_state *server;
    uint64_t now_ms, for_ms;
};

static bool is_failure(enum upstream_outcome outcome)
{
    return outcome == UPSTREAM_5XX || outcome == UPSTREAM_CONNECT_FAILED ||
           outcome == UPSTREAM_CONNECT_TIMEOUT || upstream_outcome_blames_server(outcome);
}

static bool is_success(enum upstream_outcome outcome)
{
    return outcome <= UPSTREAM_4XX;
}

static unsigned most_at_once(const struct eject_spec *spec, unsigned servers)
{
    unsigned most = servers * spec->most_percent / 100;

    return most == 0 && servers > 1 && spec->most_percent > 0 ? 1 : most;
}

static bool has_room(const struct candidate *candidate, const struct server_set *set)
{
    unsigned ejected = 0;

    for (unsigned i = 0; i < set->count; i++)
        ejected += ejection_is_on(set->servers[i].state, candidate->now_ms);
    return ejected < most_at_once(candidate->spec, set->count);
}

/* It fails anew before it was back for as long as it was away. */
static bool is_relapse(const struct candidate *candidate)
{
    const struct server_state *server = candidate->server;
    uint64_t back_ms = atomic_load_explicit(&server->back_ms, memory_order_relaxed);

    return candidate->now_ms - back_ms < server->ejections * candidate->spec->for_ms;
}

static bool eject(const struct server_set *set, void *owner)
{
    struct candidate *candidate = owner;
    struct server_state *server = candidate->server;

    if (ejection_is_on(server, candidate->now_ms) || !has_room(candidate, set))
        return false;
    server->ejections = is_relapse(candidate) ? server->ejections + 1 : 1;
    if (server->ejections > EJECTION_TIMES_MOST)
        server->ejections = EJECTION_TIMES_MOST;
    candidate->for_ms = server->ejections * candidate->spec->for_ms;
    atomic_store(&server->ejected_until_ms, candidate->now_ms + candidate->for_ms);
    atomic_store(&server->failures, 0);
    return true;
}

bool ejection_note(const struct eject_spec *spec, struct backend_state *backend,
                   struct server_state *server, enum upstream_outcome outcome)
{
    struct candidate candidate = {.spec = spec, .server = server};

    if (is_success(outcome)) {
        if (atomic_load_explicit(&server->failures, memory_order_relaxed) != 0)
            atomic_store_explicit(&server->failures, 0, memory_order_relaxed);
        return false;
    }
    /* What a client broke off, and what no server has looked at, says nothing. Where there was no
     * room for it, the question comes up again after as many more. */
    if (!is_failure(outcome) || (atomic_fetch_add(&server->failures, 1) + 1) % spec->after != 0)
        return false;
    candidate.now_ms = clock_monotonic_ms();
    if (!backend_state_decide(backend, eject, &candidate))
        return false;
    log_event(LOG_WARN, "server_ejected",
              "%s of %s gets no requests for %llu ms: %u in a row failed, the last one with %s",
              server->name, backend->name, (unsigned long long)candidate.for_ms, spec->after,
              upstream_outcome_name(outcome));
    return true;
}

static bool take_back(const struct server_set *set, void *owner)
{
    struct server_state *server = owner;
    uint64_t until_ms = atomic_load(&server->ejected_until_ms), now_ms = clock_monotonic_ms();

    (void)set;
    if (until_ms == 0 || until_ms > now_ms)
        return false;
    atomic_store(&server->ejected_until_ms, 0);
    atomic_store(&server->failures, 0); /* of what was still in flight */
    atomic_store(&server->back_ms, now_ms);
    return true;
}

void ejection_end(struct backend_state *backend, struct server_state *server)
{
    if (backend_state_decide(backend, take_back, server))
        log_event(LOG_INFO, "server_returned", "%s of %s gets requests again", server->name,
                  backend->name);
}
