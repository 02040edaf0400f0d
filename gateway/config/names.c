/* Whether the names of backends resolve, for `check`. */
#include "config/snapshot.h"

#include "base/check.h"
#include "base/table.h"
#include "net/resolver.h"

#include <stdlib.h>

enum { PATIENCE_MS = 15 * 1000 }; /* for all names together: three servers that are silent */

struct asked_name {
    struct lookup *lookup;
    const struct upstream_spec *upstream; /* where it stands first */
    const struct server_spec *server;
};

struct name_check {
    struct loop *loop;
    struct resolver *resolver;
    struct task task;
    struct deadline deadline;
    struct asked_name *asked;
    size_t count, answered; /* those before are; behind may be some, too */
};

/* The task: a name was answered, or it has taken too long. */
static void look_at_answers(void *owner)
{
    struct name_check *check = owner;
    struct lookup_answer answer;

    while (check->answered < check->count &&
           lookup_answer(check->asked[check->answered].lookup, &answer) != IO_WAIT)
        check->answered++;
    if (check->answered == check->count || deadline_passed(check->loop, &check->deadline))
        loop_stop(check->loop);
}

static void ask(struct name_check *check, const struct upstream_spec *upstream,
                const struct server_spec *server)
{
    const struct endpoint *endpoint = &server->endpoint;
    struct asked_name *asked = &check->asked[check->count++];

    asked->upstream = upstream;
    asked->server = server;
    asked->lookup =
        endpoint->kind == ENDPOINT_SRV
            ? lookup_start_srv(check->resolver, endpoint->name, &check->task)
            : lookup_start(check->resolver, endpoint->name, endpoint->port, &check->task);
}

/* Each name once. */
static void ask_all(struct name_check *check, const struct config *config)
{
    struct table known = {0};
    size_t room = 0;

    for (unsigned i = 0; i < config->upstream_count; i++)
        room += config->upstreams[i]->server_count;
    check->asked = memory_array(room + 1, sizeof(*check->asked));
    for (unsigned i = 0; i < config->upstream_count; i++) {
        struct upstream_spec *upstream = config->upstreams[i];
        for (unsigned s = 0; s < upstream->server_count; s++) {
            const struct endpoint *endpoint = &upstream->servers[s].endpoint;
            if ((endpoint->kind == ENDPOINT_NAME || endpoint->kind == ENDPOINT_SRV) &&
                !table_put(&known, slice_of(endpoint->name), upstream))
                ask(check, upstream, &upstream->servers[s]);
        }
    }
    table_clear(&known);
}

static void warn_of(const struct asked_name *asked, const char *file, struct problems *problems)
{
    struct lookup_answer answer = {.outcome = LOOKUP_FAILED, .reason = "nobody answers in time"};
    const struct slice *upstream = &asked->upstream->name, *server = &asked->server->name;

    lookup_answer(asked->lookup, &answer);
    if (answer.outcome != LOOKUP_FOUND)
        problems_add(problems, true, file, 0, 0, NULL, NULL,
                     "backend \"%.*s\": the name of \"%.*s\" does not resolve: %s",
                     (int)upstream->len, upstream->at, (int)server->len, server->at, answer.reason);
}

void snapshot_check_names(const struct snapshot *snapshot, const char *file,
                          struct problems *problems)
{
    const struct globals *globals = snapshot->config->globals;
    struct name_check check = {.loop = loop_new()};

    if (check.loop == NULL) {
        problems_add(problems, true, file, 0, 0, NULL, NULL,
                     "names cannot be looked up: the system has no descriptors left");
        return;
    }
    task_init(&check.task, look_at_answers, &check);
    deadline_init(&check.deadline, &check.task);
    check.resolver = resolver_new(check.loop, NULL);
    resolver_set_servers(check.resolver, globals->dns_servers, globals->dns_server_count);
    ask_all(&check, snapshot->config);
    deadline_set(check.loop, &check.deadline, PATIENCE_MS);
    if (check.count > 0)
        loop_run(check.loop);
    deadline_clear(&check.deadline);
    for (size_t i = 0; i < check.count; i++) {
        warn_of(&check.asked[i], file, problems);
        lookup_end(check.asked[i].lookup);
    }
    resolver_free(check.resolver);
    loop_free(check.loop);
    free(check.asked);
    problems_sort(problems);
}
