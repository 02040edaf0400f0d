/* A pool on a loop of its own, with the test as its asker and as its backends.
 *
 * There are no threads: a backend is a listening socket on loopback whose connections the test
 * accepts and answers between two turns of the loop. */
#ifndef TESTS_SUPPORT_POOL_FIXTURE_H
#define TESTS_SUPPORT_POOL_FIXTURE_H

#include "support/loopback.h"
#include "upstream/pool.h"

enum { FIXTURE_SERVERS_MAX = 8 };

struct pool_fixture {
    struct pool_env env;
    struct resolver *resolver;
    struct backend_states *states;
    struct bell bell;
    struct metrics metrics;
    struct server_series series;
    struct server_view counters;
    struct h1_limits limits;
    struct pool *pool;
    struct task task; /* the asker's: ends a turn of the loop */
    struct deadline tick;
    struct server_spec servers[FIXTURE_SERVERS_MAX];
    char names[FIXTURE_SERVERS_MAX][128];
    struct upstream_spec spec;
    struct proxy_header client; /* whom backends are told, where they are */
};

void pool_fixture_init(struct pool_fixture *f, unsigned worker);
/* Adds a server to the spec; the pool is made, or follows, by pool_fixture_follow. */
struct server_spec *pool_fixture_add(struct pool_fixture *f, const struct address *address,
                                     uint16_t weight);
struct server_spec *pool_fixture_add_name(struct pool_fixture *f, const char *name, uint16_t port);
void pool_fixture_follow(struct pool_fixture *f);
void pool_fixture_clear(struct pool_fixture *f);

struct pool_result {
    enum io answer;
    struct upstream_connection *connection;
    enum pool_failure failure;
    char server[128];
    unsigned attempts;
};
/* Asks once, and then at each turn of the loop until there is an answer. NULL: all tries. */
struct pool_result pool_fixture_ask(struct pool_fixture *f, const struct pool_ask *ask);
/* Asks once, without turning the loop; the wait stays with the caller. */
enum io pool_fixture_peek(struct pool_wait *wait, struct pool_result *result);

/* Turns the loop until it is so. */
void pool_fixture_run_until(struct pool_fixture *f, bool (*is_so)(void *argument), void *argument);
void pool_fixture_run_for(struct pool_fixture *f, uint64_t ms);

/* One GET and its response over `connection`, which `backend_fd` answers with `response`; then it
 * is given back. True when the response came whole. */
bool pool_fixture_request(struct pool_fixture *f, struct upstream_connection *connection,
                          int backend_fd, const char *response);

struct pool_server_status pool_fixture_status(const struct pool_fixture *f, unsigned index);

#endif
