#include "support/balancer_fixture.h"

#include "base/check.h"

#include <stdio.h>

void balancer_fixture_init(struct balancer_fixture *f, enum balance balance,
                           const uint16_t *weights, unsigned count)
{
    assert(count <= BALANCED_MAX);
    *f = (struct balancer_fixture){.shared = {.env = {.loop = loop_new()}}, .count = count};
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        struct set_server from = {
            .state = server_state_new(slice_of(name)), .host = name, .weight = weights[i]};
        f->servers[i] = server_new(&f->shared, &from);
        server_state_unref(from.state);
        f->servers[i]->share.in_flight = &f->in_flight[i];
    }
    f->ask = (struct balancer_ask){.history = &f->history, .now_us = 1000 * 1000 * 1000};
    balancer_init(&f->balancer, 42);
    f->balancer.balance = balance;
    balancer_follow(&f->balancer, f->servers, count);
}

void balancer_fixture_clear(struct balancer_fixture *f)
{
    balancer_clear(&f->balancer);
    for (unsigned i = 0; i < f->count; i++)
        server_unref(f->servers[i]);
    loop_free(f->shared.env.loop);
}

int balancer_fixture_pick(struct balancer_fixture *f)
{
    const struct server *server = balancer_pick(&f->balancer, &f->ask);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->servers[i] == server)
            return (int)i;
    }
    assert(server == NULL);
    return -1;
}

void balancer_fixture_skip(struct balancer_fixture *f, unsigned index)
{
    f->servers[index]->skip_ms = SERVER_SKIP_MAX_MS;
    f->servers[index]->skip_until_ms = UINT64_MAX;
}
