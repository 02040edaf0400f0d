/* A snapshot in the making: what the readers of the route file's sections share. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/table.h"
#include "config/config.h"
#include "config/settings.h"

/* An entry of `backends`. */
struct backend {
    struct upstream_spec *upstream; /* the config's; NULL: its servers are wrong */
    struct layer layer;
    unsigned line;
};

struct load {
    struct reader reader;
    struct config *config;
    struct globals *globals; /* the config's */
    const struct json_node *root;
    struct layer defaults;
    const struct config *previous; /* what has not changed since is shared; NULL: nothing */
    struct table backends;         /* name -> struct backend */
    struct table client_cas;       /* path -> struct client_ca_file, the config's */
    struct host *host;             /* being read */
    uint64_t context;     /* of what every host is read with: `defaults`, `tls`, the folder */
    bool tls_is_wrong;    /* `certs` or `tls` has mistakes */
    bool has_sections;    /* the file was read to its end, well or not */
    struct arena scratch; /* what the snapshot does not need */
};

/* Each reads its section, `node` NULL when the file has none. */
void load_listen(struct load *load, const struct json_node *node);
void load_process_user(struct load *load, const struct json_node *user,
                       const struct json_node *group);
void load_tls(struct load *load); /* before the routes, which inherit of it */
void load_host_tls(struct load *load, const struct json_node *node); /* of the host being read */
void load_certs(struct load *load);
void load_backends(struct load *load, const struct json_node *node);
void load_routes(struct load *load, const struct json_node *node);
void load_tests(struct load *load, const struct json_node *node);

#endif
