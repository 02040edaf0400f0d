/* Whether the names of backends resolve, for `check`. */
#include "config/snapshot.h"

#include "base/table.h"

#include <netdb.h>

static void check_server(const struct upstream_spec *upstream, const struct server_spec *server,
                         const char *file, struct problems *problems)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(server->endpoint.name, NULL, &hints, &found);

    if (failure != 0)
        problems_add(problems, true, file, 0, 0, NULL, NULL,
                     "backend \"%.*s\": the name of \"%.*s\" does not resolve: %s",
                     (int)upstream->name.len, upstream->name.at, (int)server->name.len,
                     server->name.at, gai_strerror(failure));
    if (found)
        freeaddrinfo(found);
}

void snapshot_check_names(const struct snapshot *snapshot, const char *file,
                          struct problems *problems)
{
    struct table asked = {0};

    for (unsigned i = 0; i < snapshot->config->upstream_count; i++) {
        struct upstream_spec *upstream = snapshot->config->upstreams[i];
        for (unsigned s = 0; s < upstream->server_count; s++) {
            const struct server_spec *server = &upstream->servers[s];
            if (server->endpoint.kind == ENDPOINT_NAME &&
                !table_put(&asked, slice_of(server->endpoint.name), upstream))
                check_server(upstream, server, file, problems);
        }
    }
    table_clear(&asked);
    problems_sort(problems);
}
