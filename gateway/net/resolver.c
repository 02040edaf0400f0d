#include "net/resolver.h"

#include "base/check.h"
#include "net/jobs.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

struct lookup {
    struct job job;
    char name[256];
    uint16_t port;
    const char *reason; /* NULL: there are addresses */
    int count;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
};

struct resolver {
    struct jobs *jobs;
};

/* --- asking: getaddrinfo on a helper thread ----------------------------------------------- */

/* RFC 6761 section 6.3: these mean this machine, whatever interfaces it has. */
static bool is_localhost(const char *name)
{
    struct slice s = slice_of(name);
    return slice_equal(s, slice_of("localhost")) || slice_ends_with(s, slice_of(".localhost"));
}

static void add_address(struct lookup *lookup, const struct sockaddr *from, socklen_t length)
{
    struct address *address = &lookup->addresses[lookup->count];
    if (lookup->count == RESOLVER_ADDRESSES_MAX || length > sizeof(address->as))
        return;
    memset(address, 0, sizeof(*address));
    memcpy(&address->as, from, length);
    address->length = length;
    lookup->count++;
}

static void add_loopback(struct lookup *lookup)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(lookup->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(lookup->port)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    add_address(lookup, (struct sockaddr *)&v4, sizeof(v4));
    add_address(lookup, (struct sockaddr *)&v6, sizeof(v6));
}

static void ask_system(struct job *job)
{
    struct lookup *lookup = container_of(job, struct lookup, job);
    /* AI_ADDRCONFIG spares a machine with one family the questions for the other, but it does not
     * count loopback: where that is all there is of a family, `localhost` would lose it. */
    bool is_local = is_localhost(lookup->name);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (is_local ? 0 : AI_ADDRCONFIG),
    };
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)lookup->port);
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(lookup->name, service, &hints, &found);
    if (failed == 0) {
        for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
            add_address(lookup, at->ai_addr, at->ai_addrlen);
        freeaddrinfo(found);
    }
    if (lookup->count == 0 && is_local)
        add_loopback(lookup); /* no entry in the hosts file */
    if (lookup->count == 0)
        lookup->reason = failed != 0 ? gai_strerror(failed) : "the name has no address";
}

/* --- the resolver ------------------------------------------------------------------------- */

struct resolver *resolver_new(unsigned threads)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));
    resolver->jobs = jobs_new(threads);
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    jobs_free(resolver->jobs);
    free(resolver);
}

/* --- one look-up, on the asking thread ---------------------------------------------------- */

static void free_lookup(struct job *job)
{
    free(container_of(job, struct lookup, job));
}

struct lookup *lookup_start(struct resolver *resolver, struct loop *loop, const char *name,
                            uint16_t port, struct task *task)
{
    struct lookup *lookup = memory_try(sizeof(*lookup));
    if (lookup == NULL)
        return NULL;
    lookup->job.work = ask_system;
    lookup->job.free_job = free_lookup;
    lookup->port = port;
    slice_copy_text(slice_of(name), lookup->name, sizeof(lookup->name));
    if (!job_start(resolver->jobs, &lookup->job, loop, task))
        lookup->reason = "too many names are being looked up";
    return lookup;
}

enum io lookup_answer(struct lookup *lookup, struct address addresses[RESOLVER_ADDRESSES_MAX],
                      int *count, const char **reason)
{
    if (!job_is_done(&lookup->job))
        return IO_WAIT;
    *count = lookup->count;
    *reason = lookup->reason;
    if (lookup->reason != NULL)
        return IO_ERROR;
    memcpy(addresses, lookup->addresses, sizeof(*addresses) * (size_t)lookup->count);
    return IO_OK;
}

void lookup_end(struct lookup *lookup)
{
    job_end(&lookup->job);
}
