/* Limits and turns with a thread a worker: requests come, are held, are served and leave at random.
 * No limit is ever exceeded, and nobody is forgotten. */
#include "net/ev_memory.h"
#include "support/loopback.h"
#include "upstream/pool.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    WORKERS = 3,
    ASKERS = 16,     /* a worker */
    REQUESTS = 1000, /* an asker */
    ROUNDS_MOST = 4, /* of the loop that a request takes */
    FOREVER_MS = 1 << 30,
    EVENTS = 256,
};

/* --- the backend -------------------------------------------------------------------------- */

struct backend {
    struct address address;
    int listener, epoll, stop[2];
    pthread_t thread;
    unsigned open, most;
};

static void watch(const struct backend *backend, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    epoll_ctl(backend->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_one(struct backend *backend)
{
    int fd = accept(backend->listener, NULL, NULL);

    if (fd < 0)
        return;
    watch(backend, fd);
    if (++backend->open > backend->most)
        backend->most = backend->open;
}

/* Ends come before beginnings: a connection that made room for a new one was closed before. */
static void *count_connections(void *owner)
{
    struct backend *backend = owner;
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(backend->epoll, events, EVENTS, -1);
        bool has_newcomer = false;
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == backend->stop[0])
                return NULL;
            if (fd == backend->listener) {
                has_newcomer = true;
            } else {
                close(fd);
                backend->open--;
            }
        }
        if (has_newcomer)
            accept_one(backend);
    }
}

static void backend_start(struct backend *backend)
{
    *backend = (struct backend){.epoll = epoll_create1(0)};
    backend->listener = loopback_listen(&backend->address);
    cr_assert_eq(pipe(backend->stop), 0);
    watch(backend, backend->listener);
    watch(backend, backend->stop[0]);
    cr_assert_eq(pthread_create(&backend->thread, NULL, count_connections, backend), 0);
}

static void backend_end(struct backend *backend)
{
    cr_assert_eq(write(backend->stop[1], "", 1), 1);
    pthread_join(backend->thread, NULL);
    close(backend->listener);
    close(backend->epoll);
    close(backend->stop[0]);
    close(backend->stop[1]);
}

/* --- workers ------------------------------------------------------------------------------ */

struct run {
    struct upstream_spec spec;
    struct server_spec server;
    struct loop *control;
    struct resolver *resolver;
    struct backend_states *states;
    _Atomic unsigned in_flight, exceeded, busy_askers;
    struct worker *workers;
    struct backend backend;
};

struct asker {
    struct worker *worker;
    struct task task;
    struct deadline patience; /* a client that leaves */
    struct pool_claim claim;
    struct pool_wait *wait;
    struct upstream_connection *connection;
    unsigned rounds; /* that its request still takes */
    unsigned left;   /* requests that it has still to make */
    char route[2];
};

struct worker {
    struct run *run;
    pthread_t thread;
    struct loop *loop;
    struct bell bell;
    struct metrics metrics;
    struct server_series series;
    struct server_view counters;
    struct h1_limits limits;
    struct pool *pool;
    struct post stop;
    unsigned seed, served, left, failed;
    struct asker askers[ASKERS];
};

static void stop(void *owner)
{
    struct worker *worker = owner;

    loop_stop(worker->loop);
}

static unsigned draw(struct worker *worker, unsigned most)
{
    return (unsigned)rand_r(&worker->seed) % most;
}

static void note_done(struct run *run)
{
    if (atomic_fetch_sub(&run->busy_askers, 1) > 1)
        return;
    for (int i = 0; i < WORKERS; i++)
        loop_post(run->workers[i].loop, &run->workers[i].stop);
}

static void leave(struct asker *asker)
{
    pool_leave(asker->worker->pool, &asker->claim);
    asker->claim = (struct pool_claim){0};
    if (--asker->left == 0)
        note_done(asker->worker->run);
    else
        loop_wake(asker->worker->loop, &asker->task);
}

static void begin(struct asker *asker)
{
    struct worker *worker = asker->worker;
    struct pool_ask ask = {.claim = &asker->claim,
                           .route = slice_of(asker->route),
                           .connect_timeout_ms = FOREVER_MS,
                           .max_tries = 2};

    asker->wait = pool_ask(worker->pool, &ask, &asker->task);
    if (draw(worker, 8) == 0)
        deadline_set(worker->loop, &asker->patience, 1 + draw(worker, 3));
}

static void serve(struct asker *asker)
{
    struct run *run = asker->worker->run;
    unsigned most = run->spec.max_requests;

    asker->worker->served++;
    asker->rounds = draw(asker->worker, ROUNDS_MOST);
    if (atomic_fetch_add(&run->in_flight, 1) + 1 > most && most != 0)
        atomic_store(&run->exceeded, 1);
}

static void ask_again(struct asker *asker)
{
    struct worker *worker = asker->worker;
    enum pool_failure failure;
    struct slice server;
    unsigned attempts;
    enum io io = pool_answer(asker->wait, &asker->connection, &failure, &server, &attempts);
    bool is_late = deadline_passed(worker->loop, &asker->patience);

    if (io == IO_WAIT && !is_late)
        return;
    pool_wait_end(asker->wait);
    asker->wait = NULL;
    deadline_clear(&asker->patience);
    if (io == IO_OK) {
        serve(asker);
        loop_wake(worker->loop, &asker->task);
        return;
    }
    worker->left += io == IO_WAIT;
    worker->failed += io == IO_ERROR;
    leave(asker);
}

static void take_step(void *owner)
{
    struct asker *asker = owner;

    if (asker->connection == NULL) {
        if (asker->wait == NULL)
            begin(asker);
        ask_again(asker);
    } else if (asker->rounds-- > 0) {
        loop_wake(asker->worker->loop, &asker->task);
    } else {
        upstream_connection_give_back(asker->connection);
        asker->connection = NULL;
        atomic_fetch_sub(&asker->worker->run->in_flight, 1);
        leave(asker);
    }
}

static void *run_worker(void *owner)
{
    struct worker *worker = owner;

    for (int i = 0; i < ASKERS; i++)
        loop_wake(worker->loop, &worker->askers[i].task);
    loop_run(worker->loop);
    buffer_cache_clear(); /* the thread's, as is the loops' memory */
    ev_memory_clear();
    return NULL;
}

static void worker_init(struct worker *worker, struct run *run, unsigned number)
{
    *worker = (struct worker){.run = run, .loop = loop_new(), .seed = number + 1};
    worker->limits = (struct h1_limits){.head_bytes = 32768, .fields = 100, .request_line = 1024};
    worker->stop = (struct post){.run = stop, .owner = worker};
    bell_init(&worker->bell, worker->loop);
    server_series_init(&worker->series, 1);
    server_view_init(&worker->counters, &worker->series, 0);
    worker->pool = pool_new(&(struct pool_env){.loop = worker->loop,
                                               .states = run->states,
                                               .bell = &worker->bell,
                                               .metrics = &worker->metrics,
                                               .counters = &worker->counters,
                                               .response_limits = &worker->limits,
                                               .worker = number,
                                               .worker_count = WORKERS},
                            &run->spec);
    for (int i = 0; i < ASKERS; i++) {
        struct asker *asker = &worker->askers[i];
        *asker = (struct asker){.worker = worker, .left = REQUESTS, .route = {(char)('a' + i % 3)}};
        task_init(&asker->task, take_step, asker);
        deadline_init(&asker->patience, &asker->task);
    }
}

static void worker_clear(struct worker *worker)
{
    cr_assert_eq(pool_in_use(worker->pool), 0);
    pool_free(worker->pool);
    bell_clear(&worker->bell);
    loop_free(worker->loop);
    server_view_clear(&worker->counters);
    server_series_clear(&worker->series);
}

static void run_start(struct run *run, unsigned max_requests, unsigned max_connections)
{
    *run = (struct run){.control = loop_new()};
    backend_start(&run->backend);
    run->server = (struct server_spec){.name = slice_of("server"), .weight = 1};
    run->server.endpoint.kind = ENDPOINT_IP;
    run->server.endpoint.address = run->backend.address;
    run->spec = (struct upstream_spec){
        .name = slice_of("backend"),
        .serial = 1,
        .servers = &run->server,
        .server_count = 1,
        .keepalive = 32,
        .max_requests = max_requests,
        .max_connections = max_connections,
        .hold = {.for_ms = FOREVER_MS, .queue = WORKERS * ASKERS},
    };
    run->resolver = resolver_new(run->control, NULL);
    run->states = backend_states_new(run->control, run->resolver);
    run->busy_askers = WORKERS * ASKERS;
    run->workers = aligned_alloc(64, WORKERS * sizeof(*run->workers));
    for (unsigned i = 0; i < WORKERS; i++)
        worker_init(&run->workers[i], run, i);
}

static void run_end(struct run *run)
{
    for (int i = 0; i < WORKERS; i++)
        worker_clear(&run->workers[i]);
    free(run->workers);
    backend_states_free(run->states);
    resolver_free(run->resolver);
    loop_free(run->control);
    backend_end(&run->backend);
    buffer_cache_clear();
}

/* It ends only if everybody is served, or leaves. */
static void hammer(unsigned max_requests, unsigned max_connections)
{
    struct run run;
    unsigned served = 0, left = 0, held = 0;

    run_start(&run, max_requests, max_connections);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&run.workers[i].thread, NULL, run_worker, &run.workers[i]), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(run.workers[i].thread, NULL);
    for (int i = 0; i < WORKERS; i++) {
        served += run.workers[i].served;
        left += run.workers[i].left;
        held += (unsigned)metric_read(&run.workers[i].metrics, METRIC_UPSTREAM_HELD);
        cr_assert_eq(run.workers[i].failed, 0);
    }
    cr_assert_eq(served + left, WORKERS * ASKERS * REQUESTS);
    cr_assert_gt(held, served / 2);
    cr_assert_eq(run.exceeded, 0);
    if (max_connections != 0)
        cr_assert_leq(run.backend.most, max_connections);
    run_end(&run);
}

Test(pool_workers, requests_in_flight)
{
    hammer(3, 0);
}

Test(pool_workers, one_request_in_flight)
{
    hammer(1, 0);
}

Test(pool_workers, connections)
{
    hammer(0, 4);
}

Test(pool_workers, fewer_connections_than_workers)
{
    hammer(0, 1);
}

Test(pool_workers, requests_and_connections)
{
    hammer(4, 5);
}
