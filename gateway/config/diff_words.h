/* What generations are made of, in words that mean the same for the same thing: compared by `diff`
 * and printed by it. All in the arena. */
#ifndef CONFIG_DIFF_WORDS_H
#define CONFIG_DIFF_WORDS_H

#include "config/settings.h"

struct slice words_duration(struct arena *arena, uint64_t ms); /* "90s", "5m", "off" */
struct slice words_size(struct arena *arena, uint64_t bytes);  /* "2GiB", "off" */
/* A size a second. */
struct slice words_rate(struct arena *arena, uint64_t bytes);
struct slice words_count(struct arena *arena, uint64_t count);     /* "100", "off" for 0 */
struct slice words_percent(struct arena *arena, unsigned percent); /* "20%" */

struct slice words_network(struct arena *arena, const struct network *network); /* "10.0.0.0/8" */
/* Whose connections begin with a PROXY protocol header: "10.0.0.0/8, fd00::/8", however they were
 * ordered. */
struct slice words_proxies(struct arena *arena, const struct listen_spec *listen);

/* A setting in force, and its name in the route file: "timeout.connect". */
const char *words_setting_key(enum setting setting);
struct slice words_setting(struct arena *arena, enum setting setting,
                           const struct settings *settings);
bool words_same_setting(enum setting setting, const struct settings *a, const struct settings *b);

/* "10.0.0.1:80", without its weight. */
struct slice words_address(struct arena *arena, const struct server_spec *server);
/* "10.0.0.1:80 (weight 2, backup)". */
struct slice words_server(struct arena *arena, const struct server_spec *server);
struct slice words_servers(struct arena *arena, const struct upstream_spec *upstream);
/* Where a route leads: "backend api", "10.0.0.1:80", "redirect 308 to https://…", "respond 404". */
struct slice words_route(struct arena *arena, const struct route *route);

/* Two routes that lead to backends: whether the same ones get shares; addresses written in a route
 * are one backend, whatever they are. */
bool words_same_backends(const struct route *a, const struct route *b);

/* Two routes that respond: whether body and headers are the same. */
bool words_same_response(const struct route *a, const struct route *b);
bool words_same_fields(const struct http_fields *a, const struct http_fields *b);
struct slice words_fields(struct arena *arena, const struct http_fields *fields);
/* Some of a body from there on, quoted; and where to start so that two show how they differ. */
struct slice words_body(struct arena *arena, struct slice body, size_t from);
size_t words_body_start(struct slice a, struct slice b);

/* "until 2027-01-31". */
struct slice words_certificate_end(struct arena *arena, int64_t not_after);
/* "/etc/certs/a.pem (ECDSA P-256, until 2027-01-31)". */
struct slice words_certificate(struct arena *arena, const struct certificate *certificate);

#endif
