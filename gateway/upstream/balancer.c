#include "upstream/balancer.h"

/* Who may be picked, the wishes first. */
enum round { PRIMARIES, BACKUPS, AVOIDED, SKIPPED_PRIMARIES, SKIPPED_BACKUPS, REST, ROUND_COUNT };

/* So many picks ahead do as well as any. */
enum { OFFSET_MAX = 256 };

static bool was_tried(const struct balancer_history *history, const struct server *server)
{
    for (unsigned i = 0; i < history->tried_count; i++) {
        if (history->tried[i] == server)
            return true;
    }
    return false;
}

static bool is_eligible(const struct server *server, const struct balancer_history *history,
                        enum round round)
{
    if (server->weight == 0 || was_tried(history, server))
        return false;
    bool is_avoided = server == history->avoid;
    switch (round) {
    case PRIMARIES: return !server->is_backup && !is_avoided && server_is_usable(server);
    case BACKUPS: return server->is_backup && !is_avoided && server_is_usable(server);
    case AVOIDED: return is_avoided && server_is_usable(server);
    case SKIPPED_PRIMARIES: return !server->is_backup && !is_avoided;
    case SKIPPED_BACKUPS: return server->is_backup && !is_avoided;
    default: return true;
    }
}

/* One pick among the eligible: each gains its weight, the one that is ahead wins and pays what all
 * of them gained. Over a cycle each gains as much as it pays only if it wins as often as its
 * weight. */
static struct server *turn(struct server *const *servers, unsigned count,
                           const struct balancer_history *history, enum round round)
{
    struct server *ahead = NULL;
    int64_t gained = 0;
    for (unsigned i = 0; i < count; i++) {
        struct server *server = servers[i];
        if (!is_eligible(server, history, round))
            continue;
        server->turn += server->weight;
        gained += server->weight;
        if (ahead == NULL || server->turn > ahead->turn)
            ahead = server;
    }
    if (ahead != NULL)
        ahead->turn -= gained;
    return ahead;
}

struct server *balancer_pick(struct server *const *servers, unsigned count,
                             const struct balancer_history *history)
{
    struct server *picked = NULL;
    if (count == 1) {
        bool may = servers[0]->weight > 0 && !was_tried(history, servers[0]);
        return may ? servers[0] : NULL;
    }
    for (enum round round = PRIMARIES; picked == NULL && round < ROUND_COUNT; round++)
        picked = turn(servers, count, history, round);
    return picked;
}

static void advance(struct server *const *servers, unsigned count, enum round round,
                    uint64_t offset)
{
    const struct balancer_history none = {0};
    uint64_t cycle = 0;
    for (unsigned i = 0; i < count; i++)
        cycle += is_eligible(servers[i], &none, round) ? servers[i]->weight : 0;
    if (cycle == 0)
        return;
    for (offset %= cycle < OFFSET_MAX ? cycle : OFFSET_MAX; offset > 0; offset--)
        turn(servers, count, &none, round);
}

void balancer_restart(struct server *const *servers, unsigned count, uint64_t offset)
{
    for (unsigned i = 0; i < count; i++)
        servers[i]->turn = 0;
    if (count == 1)
        return;
    /* Skipped or not: these rounds look at neither. */
    advance(servers, count, SKIPPED_PRIMARIES, offset);
    advance(servers, count, SKIPPED_BACKUPS, offset);
}
