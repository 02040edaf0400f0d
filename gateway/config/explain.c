#include "config/explain.h"

#include "base/clock.h"

/* --- who asks, and where ------------------------------------------------------------------------
 */

static bool has_other_port(const struct explanation *e)
{
    const struct listen_spec *listener = e->followed.listener;

    return listener && e->request->port != 0 && listener->address_count > 0 &&
           address_port(&listener->addresses[0]) != e->request->port;
}

/* --- certificates -------------------------------------------------------------------------------
 */

static bool is_in_date(const struct certificate *certificate, int64_t now)
{
    return certificate_not_before(certificate) <= now && now <= certificate_not_after(certificate);
}

/* The first rule that puts it behind the chosen one; in the order of cert_store_choose. */
static const char *why_behind(const struct explanation *e, const struct other_certificate *other)
{
    const struct certificate *chosen = e->followed.certificate, *it = other->certificate;
    bool is_rsa = certificate_key(it) == CERT_KEY_RSA;

    if (!chosen)
        return "no client can use it";
    if (is_in_date(chosen, e->now) && !is_in_date(it, e->now))
        return certificate_not_after(it) < e->now ? "it has expired" : "it is not valid yet";
    if (e->followed.tls.match == CERT_MATCH_EXACT && other->match == CERT_MATCH_WILDCARD)
        return "an exact name comes before a wildcard";
    if (is_rsa && certificate_key(chosen) != CERT_KEY_RSA)
        return "it is for clients that cannot use the other key: RSA comes last";
    if (certificate_not_before(it) < certificate_not_before(chosen))
        return "the newer certificate comes first";
    return "its kind of key, then its file's name, comes later";
}

static void find_others(struct explanation *e, struct slice name)
{
    const struct cert_store *store = tls_server_certs(e->snapshot->tls);

    for (size_t i = 0; i < cert_store_count(store) && e->other_count < EXPLAIN_CERTS_MAX; i++) {
        struct other_certificate *other = &e->others[e->other_count];
        const struct certificate *certificate = cert_store_at(store, i);

        *other = (struct other_certificate){.certificate = certificate};
        other->match = certificate_match(certificate, name, &other->san);
        if (certificate == e->followed.certificate || other->match == CERT_MATCH_NONE)
            continue;
        other->why = why_behind(e, other);
        e->other_count++;
    }
}

static void find_certificates(struct explanation *e, struct arena *arena)
{
    const struct tls_answer *tls = &e->followed.tls;
    struct slice name = e->followed.sni;
    bool is_default = tls->match == CERT_MATCH_DEFAULT;

    e->clients = explain_clients(e->snapshot, name, arena);
    /* The default one was looked for by a name of its own. */
    find_others(e, is_default ? tls->san : name);
    if (name.len > 0 && (is_default || tls->refusal == TLS_REFUSAL_UNKNOWN_NAME))
        near_misses_names(tls_server_certs(e->snapshot->tls), name, &e->names);
}

/* --- routes -------------------------------------------------------------------------------------
 */

static void find_near_misses(struct explanation *e, struct arena *arena)
{
    const struct followed *f = &e->followed;
    const struct route_table *routes = e->snapshot->routes;
    struct slice path = slice_equal(f->path, slice_of("*")) ? slice_of("/") : f->path;
    const struct host *host;

    if (f->is_challenge || (!f->route && f->reason != REASON_NO_ROUTE))
        return; /* none was looked for */
    near_misses_hosts(routes, f->host, f->host_key, arena, &e->hosts);
    host = f->host_key.len > 0 ? route_table_host(routes, f->host_key) : NULL;
    if (host)
        near_misses_paths(host, path, f->route, arena, &e->paths);
}

void explain(const struct snapshot *snapshot, const struct followed_request *request,
             struct arena *arena, struct explanation *explanation)
{
    *explanation = (struct explanation){
        .snapshot = snapshot, .request = request, .now = clock_wall_ms() / 1000};
    follow_request(snapshot, request, arena, &explanation->followed);
    explanation->is_other_port = has_other_port(explanation);
    if (request->is_tls && !explanation->followed.unreachable)
        find_certificates(explanation, arena);
    find_near_misses(explanation, arena);
}
