/* A snapshot in the making: what the readers of the route file's sections share. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/table.h"
#include "config/config.h"
#include "config/settings.h"

/* An entry of `backends`. */
struct backend {
    struct upstream_spec *upstream; /* a reference; NULL: its servers are wrong */
    struct layer layer;
    unsigned line;
};

struct load {
    struct reader reader;
    struct config *config;
    struct globals *globals;   /* the config's */
    struct snapshot *snapshot; /* of the config */
    const struct json_node *root;
    struct layer defaults;
    const struct config *previous; /* what has not changed since is shared; NULL: nothing */
    struct table backends;         /* name -> struct backend */
    struct host *host;             /* being read */
    uint64_t context;              /* of what every host is read with: `defaults`, the folder */
    struct arena scratch;          /* what the snapshot does not need */
    bool strict_certs;

    struct json_node **hosts; /* exact hosts of `routes`, for the check against the certificates */
    struct slice *host_names;
    unsigned host_count;

    struct route_test *tests;
    unsigned test_count;
};

/* Each reads its section, `node` NULL when the file has none. */
void load_listen(struct load *load, const struct json_node *node);
void load_certs(struct load *load, struct ticket_keys *keys);
void load_backends(struct load *load, const struct json_node *node);
void load_routes(struct load *load, const struct json_node *node);
void load_tests(struct load *load, const struct json_node *node);
/* Against the finished snapshot. */
void load_run_tests(struct load *load);

#endif
