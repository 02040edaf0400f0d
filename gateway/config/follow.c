#include "config/follow.h"

#include "http/target.h"

#include <stdio.h>

struct follow {
    const struct snapshot *snapshot;
    const struct followed_request *request;
    struct arena *arena;
    struct followed *followed;
};

static const struct listen_spec *find_listener(const struct follow *follow)
{
    const struct globals *globals = follow->snapshot->globals;
    bool is_tls = follow->request->is_tls;
    enum listen_kind kind = is_tls ? LISTEN_HTTPS : LISTEN_HTTP;
    const struct listen_spec *first = NULL;
    uint16_t port = follow->request->port ? follow->request->port : is_tls ? 443 : 80;

    for (unsigned i = 0; i < globals->listen_count; i++) {
        const struct listen_spec *spec = &globals->listens[i];
        if (spec->kind != kind)
            continue;
        if (spec->address_count > 0 && address_port(&spec->addresses[0]) == port)
            return spec;
        first = first ? first : spec;
    }
    return first;
}

static void redirect_to_https(struct follow *follow, const struct listen_spec *listener)
{
    struct followed *f = follow->followed;
    struct slice path = slice_equal(f->path, slice_of("*")) ? slice_of("/") : f->path;
    bool is_ipv6 = slice_find(f->host, ':') >= 0;
    char port[8] = "";

    if (f->host.len == 0) {
        f->status = http_reason_status(REASON_NO_ROUTE);
        return;
    }
    if (listener->https_port && listener->https_port != 443)
        snprintf(port, sizeof(port), ":%u", listener->https_port);
    f->status = 308;
    f->location = arena_printf(follow->arena, "https://%s%.*s%s%s%.*s%.*s", is_ipv6 ? "[" : "",
                               (int)f->host.len, f->host.at, is_ipv6 ? "]" : "", port,
                               (int)path.len, path.at, (int)f->query.len, f->query.at);
}

static bool is_misdirected(const struct follow *follow)
{
    const struct followed *f = follow->followed;

    return f->certificate && !slice_equal(f->host, follow->request->sni) &&
           !certificate_covers(f->certificate, f->host) &&
           cert_store_covers(tls_server_certs(follow->snapshot->tls), f->host);
}

static void find_route(struct follow *follow)
{
    struct followed *f = follow->followed;
    struct slice path = slice_equal(f->path, slice_of("*")) ? slice_of("/") : f->path;
    const struct route *route = route_table_find(follow->snapshot->routes, f->host, path, NULL);

    f->route = route;
    if (!route) {
        f->status = http_reason_status(REASON_NO_ROUTE);
    } else if (route->kind == ROUTE_REDIRECT) {
        f->status = route->status;
        f->location = route_location(route, follow->arena, follow->request->is_tls, f->host,
                                     f->path, f->query);
    } else if (route->kind == ROUTE_RESPOND) {
        f->status = route->status;
    }
}

static bool read_target(struct follow *follow)
{
    const struct followed_request *request = follow->request;
    struct followed *f = follow->followed;
    uint16_t port;

    if (host_normalise(follow->arena, request->authority, &f->host, &port) &&
        path_normalise(follow->arena, request->target, &f->path, &f->query))
        return true;
    f->host = f->path = f->query = slice_make(NULL, 0);
    return false;
}

void follow_request(const struct snapshot *snapshot, const struct followed_request *request,
                    struct arena *arena, struct followed *followed)
{
    struct follow follow = {
        .snapshot = snapshot, .request = request, .arena = arena, .followed = followed};
    const struct listen_spec *listener = find_listener(&follow);
    enum http_method method = http_method_from(request->method);

    *followed = (struct followed){0};
    if (!listener) {
        followed->unreachable = request->is_tls ? "listen.https is off" : "listen.http is off";
        return;
    }
    if (request->is_tls)
        followed->certificate = tls_server_choose(snapshot->tls, request->sni, &followed->alert);
    if (followed->certificate)
        followed->alert = NULL;
    if (!read_target(&follow))
        followed->status = http_reason_status(REASON_BAD_REQUEST);
    else if (method == METHOD_CONNECT || method == METHOD_TRACE)
        followed->status = http_reason_status(REASON_METHOD_REFUSED);
    else if (!request->is_tls && !listener->serves_routes)
        redirect_to_https(&follow, listener);
    else if (is_misdirected(&follow))
        followed->status = http_reason_status(REASON_MISDIRECTED);
    else
        find_route(&follow);
}
