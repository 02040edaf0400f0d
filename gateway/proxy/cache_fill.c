#include "proxy/cache_fill.h"

#include <stdlib.h>

enum { PIECES_A_TURN = 16 }; /* of up to 64 KiB each, before others get the loop */

enum fill_state {
    FILL_RUNS,
    FILL_STOPPED, /* there is no room: the exchange goes on with the leg */
    FILL_OVER,
};

struct cache_fill {
    struct proxy_env *env;
    struct task task;
    struct deadline deadline; /* of silence */
    struct list_node place;   /* among the worker's */
    struct arena arena;       /* for what the stream parses */
    enum fill_state state;
    struct leg leg; /* owned */
    struct pool *pool;
    struct pool_claim claim;
    const struct upstream_spec *upstream;
    struct host *host; /* a reference, and of globals */
    struct globals *globals;
    uint64_t idle_ms;
    int status;
    struct cache_fetch *fetch;   /* owned */
    struct cache_object *object; /* a reference */
    struct cache_fill **slot;    /* where the exchange has it; NULL: it reads no more */
    struct task *reader;         /* the exchange's, with slot */
};

static void free_fill(void *owner)
{
    struct cache_fill *fill = owner;

    arena_clear(&fill->arena);
    free(fill);
}

/* The leg has gone, one way or the other. */
static void bury(struct cache_fill *fill)
{
    struct proxy_env *env = fill->env;

    if (fill->slot != NULL)
        *fill->slot = NULL;
    fill->state = FILL_OVER;
    deadline_clear(&fill->deadline);
    list_remove(&fill->place);
    cache_object_unref(fill->object);
    env->retire_route(env->worker, fill->host, fill->globals);
    loop_bury(env->loop, &fill->task, free_fill);
}

static void end_leg(struct cache_fill *fill, enum http_end end, enum upstream_outcome outcome)
{
    struct proxy_env *env = fill->env;

    fill->leg.stream->ops->end(fill->leg.stream, end);
    upstream_connection_count(fill->leg.connection, outcome);
    upstream_connection_give_back(fill->leg.connection);
    pool_leave(fill->pool, &fill->claim);
    env->drop_pool(env->worker, fill->upstream);
}

static void finish(struct cache_fill *fill)
{
    cache_fetch_finish(fill->fetch); /* the codec has seen to it that nothing is missing */
    end_leg(fill, HTTP_END_REUSE, exchange_status_outcome(fill->status));
    bury(fill);
}

static void cut(struct cache_fill *fill, enum upstream_outcome outcome)
{
    cache_fetch_give_up(fill->fetch, CACHE_CUT, loop_now_ms(fill->env->loop));
    end_leg(fill, HTTP_END_ABORT, outcome);
    bury(fill);
}

/* What has come stays for the exchange to read; nobody else reads one whose length is not known. */
static void stop(struct cache_fill *fill)
{
    if (fill->slot == NULL) {
        cut(fill, exchange_status_outcome(fill->status));
        return;
    }
    cache_fetch_give_up(fill->fetch, CACHE_NOT_STORABLE, loop_now_ms(fill->env->loop));
    fill->fetch = NULL;
    fill->state = FILL_STOPPED;
    deadline_clear(&fill->deadline);
    loop_wake(fill->env->loop, fill->reader);
}

static enum upstream_outcome outcome_of(const struct cache_fill *fill)
{
    return fill->leg.stream->reason == REASON_BACKEND_BAD_RESPONSE ? UPSTREAM_BAD_RESPONSE
                                                                   : UPSTREAM_RESET;
}

static void run_fill(void *owner)
{
    struct cache_fill *fill = owner;
    struct http_stream *stream = fill->leg.stream;
    struct slice piece;

    if (fill->state != FILL_RUNS)
        return;
    if (deadline_passed(fill->env->loop, &fill->deadline)) {
        cut(fill, UPSTREAM_IDLE);
        return;
    }
    for (int i = 0; i < PIECES_A_TURN; i++) {
        enum io io = stream->ops->read_body(stream, &piece);
        if (io == IO_WAIT) {
            deadline_set(fill->env->loop, &fill->deadline, fill->idle_ms);
            return;
        }
        if (io == IO_EOF) {
            finish(fill);
            return;
        }
        if (io != IO_OK) {
            cut(fill, outcome_of(fill));
            return;
        }
        if (!cache_fetch_append(fill->fetch, piece)) {
            stop(fill);
            return;
        }
        stream->ops->consume_body(stream, piece.len);
    }
    loop_wake(fill->env->loop, &fill->task);
}

bool cache_fill_start(struct exchange *x, struct cache_fetch *fetch, struct cache_object *object,
                      struct cache_fill **slot)
{
    struct proxy_env *env = x->env;
    struct cache_fill *fill = memory_try(sizeof(*fill));

    if (fill == NULL)
        return false;
    cache_object_ref(object);
    *fill = (struct cache_fill){
        .env = env,
        .leg = x->leg,
        .pool = x->pool,
        .claim = x->claim,
        .upstream = x->upstream,
        .host = host_ref(x->route->host),
        .globals = globals_ref(x->globals),
        .idle_ms = x->settings->idle_ms,
        .status = x->response.status,
        .fetch = fetch,
        .object = object,
        .slot = slot,
        .reader = &x->task,
    };
    arena_init_small(&fill->arena);
    task_init(&fill->task, run_fill, fill);
    deadline_init(&fill->deadline, &fill->task);
    list_push_back(&env->cache_fills, &fill->place);
    fill->leg.stream->task = &fill->task;
    fill->leg.stream->arena = &fill->arena;
    x->leg = (struct leg){.server = x->leg.server};
    x->pool = NULL;
    x->claim = (struct pool_claim){0};
    loop_wake(env->loop, &fill->task);
    *slot = fill;
    return true;
}

bool cache_fill_take_back(struct cache_fill *fill, struct exchange *x)
{
    if (fill->state != FILL_STOPPED)
        return false;
    x->leg = fill->leg;
    x->pool = fill->pool;
    x->claim = fill->claim;
    x->leg.stream->task = &x->task;
    x->leg.stream->arena = &x->arena;
    bury(fill);
    return true;
}

void cache_fill_forget(struct cache_fill *fill)
{
    *fill->slot = NULL;
    fill->slot = NULL;
    if (fill->state == FILL_STOPPED) {
        end_leg(fill, HTTP_END_ABORT, exchange_status_outcome(fill->status));
        bury(fill);
    }
}

void cache_fills_cut(struct proxy_env *env)
{
    while (!list_is_empty(&env->cache_fills)) {
        struct cache_fill *fill =
            container_of(list_first(&env->cache_fills), struct cache_fill, place);
        if (fill->state == FILL_RUNS)
            cut(fill, UPSTREAM_CANCELED);
        else
            cache_fill_forget(fill);
    }
}
