/* How long it takes to find one name among all of a route file's, in the gateway's own tables.
 *
 * usage: lookup FILE HOSTS    loads FILE as the gateway does and looks up host-0.example to
 *                             host-(HOSTS-1).example in no order; prints "certificates NS routes
 * NS", nanoseconds a look-up, - where the file has no certificates */
#include "base/check.h"
#include "config/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOKUPS 2000000

/* A stride that has no divisor in common with any power of ten. */
#define STRIDE 7919

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct slice *make_names(size_t count)
{
    struct slice *names = memory_array(count, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        char *name = NULL;
        int length = asprintf(&name, "host-%zu.example", i);
        assert(length > 0);
        names[i] = slice_make(name, (size_t)length);
    }
    return names;
}

static double time_certificates(const struct cert_store *store, const struct slice *names,
                                size_t count)
{
    struct cert_wish wish = {.has_ecdsa_p256 = true, .has_rsa = true, .now = time(NULL)};
    size_t missing = 0;
    double before = now_ns();
    for (size_t i = 0, at = 0; i < LOOKUPS; i++, at = (at + STRIDE) % count) {
        bool is_covered;
        wish.name = names[at];
        missing += cert_store_choose(store, &wish, &is_covered) == NULL;
    }
    double took = now_ns() - before;
    assert(missing == 0);
    return took / LOOKUPS;
}

static double time_routes(const struct route_table *routes, const struct slice *names, size_t count)
{
    struct slice path = slice_of("/"), key;
    size_t missing = 0;
    double before = now_ns();
    for (size_t i = 0, at = 0; i < LOOKUPS; i++, at = (at + STRIDE) % count)
        missing += route_table_find(routes, names[at], path, &key) == NULL;
    double took = now_ns() - before;
    assert(missing == 0);
    return took / LOOKUPS;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: lookup FILE HOSTS\n");
        return 2;
    }
    struct ticket_keys *keys = ticket_keys_new(3600);
    struct problems problems;
    problems_init(&problems);
    struct snapshot *snapshot =
        snapshot_load(argv[1], &(struct load_options){.keys = keys}, &problems);
    if (snapshot == NULL) {
        fprintf(stderr, "%s: %s\n", argv[1], problems.list[0].message);
        return 1;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    struct slice *names = make_names(count);
    const struct cert_store *store = snapshot->tls != NULL ? tls_server_certs(snapshot->tls) : NULL;
    if (store != NULL && cert_store_count(store) > 0)
        printf("certificates %.1f", time_certificates(store, names, count));
    else
        printf("certificates -");
    printf(" routes %.1f\n", time_routes(snapshot->routes, names, count));
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)names[i].at);
    free(names);
    snapshot_unref(snapshot);
    ticket_keys_free(keys);
    problems_clear(&problems);
    return 0;
}
