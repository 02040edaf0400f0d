/* How a request would be served, with every reason: what `explain` finds out, and its two forms. */
#ifndef CONFIG_EXPLAIN_H
#define CONFIG_EXPLAIN_H

#include "config/explain_question.h"
#include "config/near_misses.h"

enum { EXPLAIN_CERTS_MAX = 10 };

/* A certificate that covers the name as well. */
struct other_certificate {
    const struct certificate *certificate;
    enum cert_match match;
    struct slice san;
    const char *why; /* it was not the one */
};

/* The rule about clients' certificates that an SNI leads to, and where it was written. */
struct explained_clients {
    const struct client_rule *rule;
    struct slice from; /* "routes[…].tls"; empty: OFF, and nobody said so */
};

/* Borrowed from snapshot and request, or in the arena. */
struct explanation {
    const struct snapshot *snapshot;
    const struct followed_request *request;
    struct followed followed;
    int64_t now; /* seconds since 1970 */

    bool is_other_port; /* no listener has the URL's port: another one's answer is told */

    struct explained_clients clients; /* by the SNI; nothing in it without TLS */
    struct other_certificate others[EXPLAIN_CERTS_MAX];
    unsigned other_count;
    struct near_misses names, hosts, paths;

    /* Of the running gateway, and set by it: what checks make of a server, in a word; NULL: it is
     * not checked. Without it nobody knows. */
    const char *(*verdict)(const void *checks, struct slice backend, struct slice server);
    const void *checks;
};

static inline const char *explain_verdict(const struct explanation *explanation,
                                          struct slice backend, struct slice server)
{
    return explanation->verdict != NULL ? explanation->verdict(explanation->checks, backend, server)
                                        : NULL;
}

/* Cheap enough for the control thread: it looks once at each host, certificate, and path of the
 * host. */
void explain(const struct snapshot *snapshot, const struct followed_request *request,
             struct arena *arena, struct explanation *explanation);

/* For people; and JSON with keys that stay. `is_live`: of the running gateway, whose generation is
 * told. */
void explain_print_text(const struct explanation *explanation, bool is_live, bool is_coloured,
                        struct buffer *out);
void explain_print_json(const struct explanation *explanation, bool is_live, struct buffer *out);

/* --- settings in force --------------------------------------------------------------------------
 */

enum {
    EXPLAIN_SETTINGS_MAX = SETTING_COUNT + UPSTREAM_KEY_COUNT + 1,
    EXPLAIN_CLIENT_SETTINGS = CLIENT_SETTING_COUNT
};

struct explained_setting {
    const char *key;    /* "timeout.connect" */
    struct slice value; /* as one would write it: "3s", "off" */
    struct slice from;  /* its path in the route file: "defaults.timeout.connect"; or "built in" */
};

/* Where a setting stands: routes["a.test"].timeout.connect; "built in". `member` is a key below
 * that one, or empty. `target` NULL: no backend's. */
struct slice explain_place(struct arena *arena, enum setting_place place, const char *key,
                           struct slice member, const struct route *route,
                           const struct route_target *target);
/* Those of the route; `target` NULL: it asks no backend. Returns how many. */
unsigned explain_settings(const struct route *route, const struct route_target *target,
                          struct arena *arena, struct explained_setting list[EXPLAIN_SETTINGS_MAX]);
/* `name` is normalised. */
struct explained_clients explain_clients(const struct snapshot *snapshot, struct slice name,
                                         struct arena *arena);
/* Those that act before there is a route. */
void explain_client_settings(const struct globals *globals, struct arena *arena,
                             struct explained_setting list[EXPLAIN_CLIENT_SETTINGS]);

/* --- what happens to headers --------------------------------------------------------------------
 */

struct explained_edit {
    const struct header_edit *edit;
    struct slice value; /* of SET and ADD, as it would be sent; empty: the field is left out */
    struct slice from;  /* as above */
};

/* SETTING_REQUEST_HEADERS or SETTING_RESPONSE_HEADERS of the route that was found; `target` NULL:
 * it asks no backend. *list is in the arena; returns how many. */
unsigned explain_edits(const struct explanation *explanation, const struct route_target *target,
                       enum setting setting, struct arena *arena, struct explained_edit **list);

#endif
