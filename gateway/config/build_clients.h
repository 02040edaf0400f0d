/* From the authorities' files as they are now to what clients are asked for. */
#ifndef CONFIG_BUILD_CLIENTS_H
#define CONFIG_BUILD_CLIENTS_H

#include "config/build_tls.h"

/* Loads the files that the config names; the caller owns the result. A broken one is an error; in a
 * renewal (unless certs_strict is set) the one that is served goes on instead, and `broken` says
 * so. Problems are added. */
struct client_policies *build_clients(const struct tls_build *build, struct cert_problems *broken);

#endif
