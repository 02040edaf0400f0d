#include "config/follow.h"

#include "config/acme.h"
#include "config/client_ip.h"
#include "http/cookie.h"
#include "http/target.h"
#include "policy/ip_filter.h"
#include "upstream/affinity.h"

#include <stdio.h>
#include <string.h>

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

static void refuse(struct follow *follow, enum http_reason reason)
{
    follow->followed->reason = reason;
    follow->followed->status = http_reason_status(reason);
}

static void redirect_to_https(struct follow *follow, const struct listen_spec *listener)
{
    struct followed *f = follow->followed;
    struct slice path = slice_equal(f->path, slice_of("*")) ? slice_of("/") : f->path;
    bool is_ipv6 = slice_find(f->host, ':') >= 0;
    char port[8] = "";

    if (f->host.len == 0) {
        refuse(follow, REASON_NO_ROUTE);
        return;
    }
    if (listener->https_port && listener->https_port != 443)
        snprintf(port, sizeof(port), ":%u", listener->https_port);
    f->status = 308;
    f->location = arena_printf(follow->arena, "https://%s%.*s%s%s%.*s%.*s", is_ipv6 ? "[" : "",
                               (int)f->host.len, f->host.at, is_ipv6 ? "]" : "", port,
                               (int)path.len, path.at, (int)f->query.len, f->query.at);
}

/* "METHOD TARGET HTTP/1.1", as parsers bound it. */
static bool has_long_line(const struct follow *follow)
{
    const struct followed_request *request = follow->request;
    size_t length = request->method.len + request->target.len + strlen("  HTTP/1.1");

    return length > follow->snapshot->globals->limits.request_line;
}

static bool asks_for_challenge(const struct follow *follow)
{
    struct slice token;

    return !follow->request->is_tls && follow->followed->listener->acme_webroot != NULL &&
           acme_is_challenge(follow->followed->path, &token);
}

static void find_challenge(struct follow *follow)
{
    struct followed *f = follow->followed;
    enum http_method method = http_method_from(follow->request->method);
    struct slice token;

    acme_is_challenge(f->path, &token);
    if ((method != METHOD_GET && method != METHOD_HEAD) || token.len == 0)
        refuse(follow, REASON_NO_ROUTE);
    else
        f->challenge = arena_printf(follow->arena, "%s%s%.*s", f->listener->acme_webroot,
                                    ACME_FOLDER, (int)token.len, token.at);
}

static bool is_misdirected(const struct follow *follow)
{
    const struct followed *f = follow->followed;

    return f->certificate && !slice_equal(f->host, f->sni) &&
           !certificate_covers(f->certificate, f->host) &&
           cert_store_covers(tls_server_certs(follow->snapshot->tls), f->host);
}

bool follow_is_too_large(const struct route_target *target, const struct followed_request *request)
{
    uint64_t most = target->settings.max_body;

    return most != 0 && request->body_bytes > most;
}

bool follow_may_take(const struct followed *followed, const struct route_target *target)
{
    return target->weight > 0 && (!followed->share || followed->share == target);
}

/* Of a split's shares, one may take what another refuses. */
static bool every_share_is_too_small(const struct follow *follow)
{
    const struct route *route = follow->followed->route;

    for (unsigned i = 0; i < route->target_count; i++)
        if (follow_may_take(follow->followed, &route->targets[i]) &&
            !follow_is_too_large(&route->targets[i], follow->request))
            return false;
    return true;
}

bool follow_is_denied(const struct settings *settings, const struct followed *followed)
{
    return settings->policies && followed->client_ip.len > 0 &&
           !ip_filter_lets(settings->policies, followed->client_ip);
}

/* As of bodies: what one share of a split refuses, another one may let pass. */
static bool is_denied(const struct follow *follow)
{
    const struct route *route = follow->followed->route;

    if (route->kind != ROUTE_TO)
        return follow_is_denied(&route->settings, follow->followed);
    for (unsigned i = 0; i < route->target_count; i++)
        if (follow_may_take(follow->followed, &route->targets[i]) &&
            !follow_is_denied(&route->targets[i].settings, follow->followed))
            return false;
    return true;
}

static void find_client(struct follow *follow)
{
    const struct globals *globals = follow->snapshot->globals;
    const struct followed_request *request = follow->request;
    struct followed *f = follow->followed;
    char text[ADDRESS_TEXT_SIZE];

    if (request->peer.length == 0)
        return;
    address_format_ip(&request->peer, text);
    f->client_ip = arena_copy(follow->arena, slice_of(text));
    f->is_trusted = client_ip_is_trusted(globals, &request->peer);
    if (f->is_trusted)
        f->client_ip = client_ip_find(globals, f->client_ip, follow->arena, &request->fields);
}

/* Without the cookie that clients go by it takes their address. */
static bool is_client_told_apart(const struct follow *follow, const struct affinity *by)
{
    if (by->kind == AFFINITY_COOKIE && cookie_find(&follow->request->fields, by->name).len > 0)
        return true;
    return by->kind != AFFINITY_NONE && follow->followed->client_ip.len > 0;
}

static void find_share(struct follow *follow)
{
    struct followed *f = follow->followed;
    const struct affinity *split_on = &f->route->split_on;
    const struct http_head head = {.fields = follow->request->fields};

    if (f->route->target_count > 1 && is_client_told_apart(follow, split_on))
        f->share = route_pick_target_for(f->route, affinity_key(split_on, &head, f->client_ip));
}

static bool is_client_known(struct follow *follow)
{
    struct followed *f = follow->followed;

    if (!follow->request->is_tls)
        return true;
    f->wanted = tls_server_policy_of_host(follow->snapshot->tls, f->host_key);
    f->is_unknown =
        f->certificate && !client_policy_is_met(f->wanted, f->asked->ca, f->asked->ca != NULL);
    return !f->is_unknown;
}

static void follow_route(struct follow *follow)
{
    struct followed *f = follow->followed;
    const struct route *route = f->route;

    if (route->kind == ROUTE_TO) {
        if (every_share_is_too_small(follow))
            refuse(follow, REASON_BODY_TOO_LARGE);
    } else if (route->kind == ROUTE_REDIRECT) {
        f->status = route->status;
        f->location = route_location(route, follow->arena, follow->request->is_tls, f->host,
                                     f->path, f->query);
    } else if (route->kind == ROUTE_RESPOND) {
        f->status = route->status;
    }
}

static void find_route(struct follow *follow)
{
    struct followed *f = follow->followed;
    struct slice path = slice_equal(f->path, slice_of("*")) ? slice_of("/") : f->path;
    const struct route *route =
        route_table_find(follow->snapshot->routes, f->host, path, &f->host_key);

    f->route = route;
    if (route && route->kind == ROUTE_TO)
        f->backend_path = rewrite_path(&route->settings.rewrite, follow->arena, f->path);
    if (!is_client_known(follow)) {
        f->route = NULL;
        refuse(follow, REASON_MISDIRECTED);
    } else if (!route) {
        refuse(follow, REASON_NO_ROUTE);
    } else {
        if (route->kind == ROUTE_TO)
            find_share(follow);
        if (is_denied(follow))
            refuse(follow, REASON_DENIED);
        else
            follow_route(follow);
    }
}

static void read_sni(struct follow *follow)
{
    struct slice sni = follow->request->sni;
    uint16_t port;

    if (sni.len == 0 || !host_normalise(follow->arena, sni, &follow->followed->sni, &port))
        follow->followed->sni = slice_of("");
}

static bool read_target(struct follow *follow)
{
    const struct followed_request *request = follow->request;
    struct followed *f = follow->followed;
    uint16_t port;

    bool is_whole_server = slice_equal(request->target, slice_of("*")) &&
                           http_method_from(request->method) == METHOD_OPTIONS;
    bool has_host = request->authority.len > 0; /* HTTP/1.0 may come without one */

    if (is_whole_server)
        f->path = request->target;
    if ((!has_host || host_normalise(follow->arena, request->authority, &f->host, &port)) &&
        (is_whole_server || path_normalise(follow->arena, request->target, &f->path, &f->query)))
        return true;
    f->host = f->path = f->query = slice_make(NULL, 0);
    return false;
}

/* --- URLs ---------------------------------------------------------------------------------------
 */

/* Cuts "http://" or "https://" off. */
static bool take_scheme(struct slice *url, bool *is_tls)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(schemes[i]);
        if (url->len >= length &&
            slice_equal_nocase(slice_make(url->at, length), slice_of(schemes[i]))) {
            *url = slice_skip(*url, length);
            *is_tls = i == 1;
            return true;
        }
    }
    return false;
}

bool follow_read_url(struct arena *arena, struct slice url, struct followed_request *request,
                     struct error *error)
{
    struct address literal;
    struct slice host;
    size_t end = 0;

    if (!take_scheme(&url, &request->is_tls)) {
        error_set(error, "a URL with http:// or https:// is expected");
        return false;
    }
    while (end < url.len && url.at[end] != '/' && url.at[end] != '?')
        end++;
    request->authority = slice_make(url.at, end);
    request->target = slice_skip(url, end);
    if (request->target.len == 0 || request->target.at[0] == '?')
        request->target =
            arena_printf(arena, "/%.*s", (int)request->target.len, request->target.at);
    if (!host_normalise(arena, request->authority, &host, &request->port)) {
        error_set(error, "\"%.*s\" is no host", (int)end, url.at);
        return false;
    }
    if (!address_parse_ip(host, 0, &literal))
        request->sni = host;
    return true;
}

/* --- the way of a request -----------------------------------------------------------------------
 */

void follow_request(const struct snapshot *snapshot, const struct followed_request *request,
                    struct arena *arena, struct followed *followed)
{
    struct follow follow = {
        .snapshot = snapshot, .request = request, .arena = arena, .followed = followed};
    const struct listen_spec *listener = find_listener(&follow);
    enum http_method method = http_method_from(request->method);

    *followed = (struct followed){.listener = listener};
    find_client(&follow);
    if (!listener) {
        followed->unreachable = request->is_tls ? "listen.https is off" : "listen.http is off";
        return;
    }
    if (request->is_tls) {
        read_sni(&follow);
        followed->tls = tls_server_answer(snapshot->tls, request->sni, NULL);
        followed->asked = tls_server_policy_of_sni(snapshot->tls, request->sni);
    }
    followed->certificate = followed->tls.certificate;
    followed->alert = followed->tls.alert;
    bool is_understood = read_target(&follow);
    followed->is_challenge = asks_for_challenge(&follow);
    if (has_long_line(&follow))
        refuse(&follow, REASON_URI_TOO_LONG);
    else if (!is_understood || (request->has_underscores && !snapshot->globals->limits.underscores))
        refuse(&follow, REASON_BAD_REQUEST);
    else if (method == METHOD_CONNECT || method == METHOD_TRACE)
        refuse(&follow, REASON_METHOD_REFUSED);
    else if (followed->is_challenge)
        find_challenge(&follow);
    else if (!request->is_tls && !listener->serves_routes)
        redirect_to_https(&follow, listener);
    else if (is_misdirected(&follow))
        refuse(&follow, REASON_MISDIRECTED);
    else
        find_route(&follow);
}
