#include "upstream/warm_up.h"

#include "upstream/connection.h"

static void look_after(struct warm_up *warm_up, uint64_t ms)
{
    if (warm_up->due.due_ms == 0)
        deadline_set(warm_up->loop, &warm_up->due, ms);
}

/* True if there will be enough, as far as that is up to us. */
static bool fill(const struct warm_up *warm_up, struct server *server)
{
    unsigned ready = server->connection_count[USE_IDLE] + server->connection_count[USE_UNCLAIMED];

    if (server->share.weight == 0 || ready >= warm_up->min_idle)
        return true;
    if (!server_is_usable(server))
        return false;
    for (; ready < warm_up->min_idle; ready++) {
        if (turn_somebody_waits(&server->shared->turn) || !server_take_room(server) ||
            connection_make(server, WARM_UP_CONNECT_MS, NULL) == NULL)
            return false;
    }
    return true;
}

static void look(void *owner)
{
    struct warm_up *warm_up = owner;
    bool is_full = true;

    if (!deadline_passed(warm_up->loop, &warm_up->due))
        return;
    deadline_clear(&warm_up->due);
    for (unsigned i = 0; i < warm_up->count && warm_up->min_idle > 0; i++)
        is_full &= fill(warm_up, warm_up->servers[i]);
    if (!is_full)
        look_after(warm_up, WARM_UP_RETRY_MS);
}

void warm_up_init(struct warm_up *warm_up, struct loop *loop)
{
    *warm_up = (struct warm_up){.loop = loop};
    task_init(&warm_up->task, look, warm_up);
    deadline_init(&warm_up->due, &warm_up->task);
}

void warm_up_follow(struct warm_up *warm_up, unsigned min_idle, struct server **servers,
                    unsigned count)
{
    warm_up->min_idle = min_idle;
    warm_up->servers = servers;
    warm_up->count = count;
    if (min_idle == 0)
        return;
    deadline_clear(&warm_up->due);
    look_after(warm_up, 1);
}

void warm_up_note_gone(struct warm_up *warm_up)
{
    if (warm_up->min_idle > 0)
        look_after(warm_up, WARM_UP_PAUSE_MS);
}

void warm_up_clear(struct warm_up *warm_up)
{
    warm_up_follow(warm_up, 0, NULL, 0);
    deadline_clear(&warm_up->due);
}
