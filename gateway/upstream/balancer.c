#include "upstream/balancer.h"

#include "base/check.h"

#include <stdlib.h>

/* So many picks ahead do as well as any. */
enum { OFFSET_MAX = 256 };

/* How willingly a server is picked: only the best there are of it come into the choice. */
enum rank {
    PRIMARY,
    BACKUP,
    AVOIDED,
    UNUSABLE_PRIMARY,
    UNUSABLE_BACKUP,
    UNUSABLE_AVOIDED,
    NEVER,
};

static struct share *(*const strategies[])(struct choice *choice) = {
    [BALANCE_ROUND_ROBIN] = balance_round_robin,
    [BALANCE_LEAST_REQUESTS] = balance_least_requests,
    [BALANCE_RANDOM] = balance_random,
    [BALANCE_LATENCY] = balance_latency,
    [BALANCE_HASH] = balance_hash,
};

/* --- life --------------------------------------------------------------------------------- */

void balancer_init(struct balancer *balancer, uint64_t seed)
{
    *balancer = (struct balancer){.random = {seed}};
}

void balancer_clear(struct balancer *balancer)
{
    free(balancer->candidates);
}

void balancer_follow(struct balancer *balancer, struct server *const *servers,
                     unsigned server_count)
{
    balancer->servers = servers;
    if (server_count != balancer->server_count)
        balancer->candidates =
            memory_resize(balancer->candidates, server_count * sizeof(*balancer->candidates));
    balancer->server_count = server_count;
}

/* --- the choice --------------------------------------------------------------------------- */

static bool was_tried(const struct balancer_history *history, const struct server *server)
{
    for (unsigned i = 0; i < history->tried_count; i++) {
        if (history->tried[i] == server)
            return true;
    }
    return false;
}

static enum rank rank_of(const struct server *server, uint32_t weight,
                         const struct balancer_history *history)
{
    if (weight == 0 || was_tried(history, server))
        return NEVER;
    bool is_usable = server_is_usable(server);
    if (!is_usable && history->wants_usable)
        return NEVER;
    if (server == history->avoid)
        return is_usable ? AVOIDED : UNUSABLE_AVOIDED;
    if (server->share.is_backup)
        return is_usable ? BACKUP : UNUSABLE_BACKUP;
    return is_usable ? PRIMARY : UNUSABLE_PRIMARY;
}

static void add(struct choice *choice, struct server *server, uint32_t weight)
{
    choice->candidates[choice->count++] =
        (struct candidate){.share = &server->share, .weight = weight};
}

static void gather_best(struct choice *choice, const struct balancer *balancer,
                        const struct balancer_history *history)
{
    enum rank best = NEVER;
    for (unsigned i = 0; i < balancer->server_count; i++) {
        struct server *server = balancer->servers[i];
        uint32_t weight = server_weight_now(server);
        enum rank rank = server_has_room(server) ? rank_of(server, weight, history) : NEVER;
        if (rank < best) {
            best = rank;
            choice->count = 0;
        }
        if (rank == best && rank != NEVER)
            add(choice, server, weight);
    }
}

struct server *balancer_pick(struct balancer *balancer, const struct balancer_ask *ask)
{
    struct choice choice = {
        .candidates = balancer->candidates,
        .key = ask->key,
        .now_us = ask->now_us,
        .random = &balancer->random,
    };
    gather_best(&choice, balancer, ask->history);
    if (choice.count == 0)
        return NULL;
    struct share *share = choice.candidates[0].share;
    if (choice.count > 1)
        share = strategies[balancer->balance](&choice);
    return container_of(share, struct server, share);
}

bool balancer_lacks_room(const struct balancer *balancer, const struct balancer_history *history)
{
    for (unsigned i = 0; i < balancer->server_count; i++) {
        const struct server *server = balancer->servers[i];
        if (!server_has_room(server) &&
            rank_of(server, server_weight_now(server), history) != NEVER)
            return true;
    }
    return false;
}

/* --- cycles ------------------------------------------------------------------------------- */

/* Usable or not, for that changes. */
static void advance(const struct balancer *balancer, bool backups, uint64_t offset)
{
    struct choice choice = {.candidates = balancer->candidates};
    uint64_t cycle = 0;
    for (unsigned i = 0; i < balancer->server_count; i++) {
        struct server *server = balancer->servers[i];
        uint32_t weight = server_weight_now(server);
        if (server->share.is_backup != backups || weight == 0)
            continue;
        cycle += server->share.weight;
        add(&choice, server, weight);
    }
    if (choice.count < 2)
        return;
    for (offset %= cycle < OFFSET_MAX ? cycle : OFFSET_MAX; offset > 0; offset--)
        balance_round_robin(&choice);
}

void balancer_restart(struct balancer *balancer, uint64_t offset)
{
    for (unsigned i = 0; i < balancer->server_count; i++)
        balancer->servers[i]->share.turn = 0;
    advance(balancer, false, offset);
    advance(balancer, true, offset);
}
