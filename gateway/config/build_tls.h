/* From the certificates as their files are now to what serves them. */
#ifndef CONFIG_BUILD_TLS_H
#define CONFIG_BUILD_TLS_H

#include "config/snapshot.h"

struct tls_build {
    const struct config *config;
    const struct load_options *options;
    struct problems *problems;
    const struct tls_server *served; /* of a renewal: the one that runs */
    bool is_renewal; /* of a config that is served: what its certificates lack stops nothing else */
    bool is_doubtful; /* `certs` or `tls` has mistakes already: what follows from them is no news */
};

/* Loads the certificates that the config names and holds them against what it says; problems are
 * added. NULL: with an error. The server asks the snapshot, which will own it, for its routes. */
struct tls_server *build_tls(const struct tls_build *build, const struct snapshot *snapshot);

#endif
