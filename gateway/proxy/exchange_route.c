#include "proxy/exchange_state.h"
#include "upstream/affinity.h"

#include <stdio.h>

/* Where a plaintext listener sends everybody: the same place, encrypted. */
static enum step redirect_to_https(struct exchange *x)
{
    const struct http_head *request = &x->request;
    bool is_ipv6 = slice_find(request->host, ':') >= 0;
    struct slice path = request->path, location;
    char port[8] = "";

    if (request->host.len == 0)
        return exchange_fail(x, REASON_NO_ROUTE);
    if (slice_equal(path, slice_of("*")))
        path = slice_of("/");
    if (x->client->https_port != 0 && x->client->https_port != 443)
        snprintf(port, sizeof(port), ":%u", x->client->https_port);
    location = arena_printf(&x->arena, "https://%s%.*s%s%s%.*s%.*s", is_ipv6 ? "[" : "",
                            (int)request->host.len, request->host.at, is_ipv6 ? "]" : "", port,
                            (int)path.len, path.at, (int)request->query.len, request->query.at);
    own_answer_redirect(x->env, &x->arena, 308, location, x->facts.request_id, &x->answer);
    return exchange_answer(x);
}

/* RFC 9110 section 15.5.20: another certificate here covers the host, this connection's does not.
 */
static bool is_misdirected(const struct exchange *x, const struct tls_info *tls)
{
    struct slice host = x->request.host;

    if (!x->client->is_tls || host.len == 0 || slice_equal(host, tls->sni))
        return false;
    return !certificate_covers(tls->certificate, host) &&
           cert_store_covers(tls_server_certs(x->pin->snapshot->tls), host);
}

/* The host's clients may have to show a certificate, which is what the handshake was for: another
 * SNI, or an older generation, may not have asked for it. Texts live with the connection. */
static bool is_client_known(struct exchange *x, const struct tls_info *tls, struct slice host_key)
{
    const struct client_policy *policy;

    if (!x->client->is_tls)
        return true;
    policy = tls_server_policy_of_host(x->pin->snapshot->tls, host_key);
    if (policy->auth == CLIENT_AUTH_OFF)
        return true;
    if (!client_policy_is_met(policy, tls->client_ca, tls->client_fingerprint != NULL))
        return false;
    if (tls->client_fingerprint) {
        x->facts.cert_fingerprint = slice_of(tls->client_fingerprint);
        x->facts.cert_subject = tls->client_subject;
    }
    return true;
}

/* For `diff`: what it takes to ask another generation the same. */
static void remember(const struct exchange *x, const struct tls_info *tls)
{
    const struct recent_request request = {.at_us = x->started_us,
                                           .port = x->client->accepted_port,
                                           .is_tls = x->client->is_tls,
                                           .method = x->request.method_text,
                                           .host = x->request.host,
                                           .path = x->request.path,
                                           .sni = tls->sni};

    recent_put(x->env->recent, &request);
}

/* Of a split the same one for the same client, or the next in turn. */
static const struct route_target *choose_share(const struct exchange *x)
{
    const struct route *route = x->route;
    struct proxy_env *env = x->env;

    if (route->target_count == 1)
        return &route->targets[0];
    if (route->split_on.kind == AFFINITY_NONE)
        return route_pick_target(route, env->next_turn(env->worker, route));
    return route_pick_target_for(route,
                                 affinity_key(&route->split_on, &x->request, x->facts.client_ip));
}

void exchange_take_pool(struct exchange *x)
{
    x->pool = x->env->take_pool(x->env->worker, x->upstream);
    exchange_enter(x, TAKE_UPSTREAM);
}

static enum step go_to_backend(struct exchange *x)
{
    if (x->settings->max_body != 0 && x->request.framing == BODY_LENGTH &&
        x->request.content_length > x->settings->max_body)
        return exchange_fail(x, REASON_BODY_TOO_LARGE);
    exchange_recognise_client(x);
    if (exchange_begin_cache(x))
        exchange_enter(x, ASK_CACHE);
    else
        exchange_take_pool(x);
    return STEP_AGAIN;
}

static enum step answer_redirect(struct exchange *x)
{
    struct slice location = route_location(x->route, &x->arena, x->client->is_tls, x->request.host,
                                           x->request.path, x->request.query);

    own_answer_redirect(x->env, &x->arena, x->route->status, location, x->facts.request_id,
                        &x->answer);
    return exchange_answer(x);
}

enum step exchange_follow_route(struct exchange *x)
{
    switch (x->route->kind) {
    case ROUTE_TO: return go_to_backend(x);
    case ROUTE_REDIRECT: return answer_redirect(x);
    case ROUTE_RESPOND:
        own_answer_respond(x->env, &x->arena, x->route, x->facts.request_id, &x->answer);
        return exchange_answer(x);
    }
    assert(!"a kind of route without an answer");
    return STEP_GONE;
}

static void choose_settings(struct exchange *x)
{
    const struct route_target *target;

    x->settings = &x->route->settings;
    if (x->route->kind != ROUTE_TO)
        return;
    target = choose_share(x);
    x->upstream = target->upstream;
    x->settings = &target->settings;
}

/* One that is held has been asked already, by an older generation: once is enough where the newest
 * has the same policies. */
static bool has_passed(const struct exchange *x)
{
    const struct policies *policies = x->settings->policies;

    return x->asked != NULL && policies != NULL &&
           memcmp(x->asked->policies, policies, sizeof(*policies)) == 0;
}

/* What an older generation's policies found out holds no more. */
static void forget_policies(struct exchange *x)
{
    x->asked = NULL;
    exchange_end_cache(x);
}

static enum step ask_policies(struct exchange *x)
{
    if (has_passed(x)) {
        x->asked->policies = x->settings->policies; /* the older ones go with their host */
        return exchange_follow_route(x);
    }
    forget_policies(x);
    if (x->settings->policies == NULL)
        return exchange_follow_route(x);
    exchange_enter(x, ASK_POLICIES);
    return STEP_AGAIN;
}

/* What its host and path lead to, if that lets it. */
static enum step find_route(struct exchange *x, const struct tls_info *tls)
{
    const struct http_head *request = &x->request;
    struct slice path = request->path, host_key;

    if (is_misdirected(x, tls))
        return exchange_fail(x, REASON_MISDIRECTED);
    if (slice_equal(path, slice_of("*")))
        path = slice_of("/"); /* OPTIONS * asks about the host as a whole */
    const struct route *route =
        route_table_find(x->pin->snapshot->routes, request->host, path, &host_key);
    if (!is_client_known(x, tls, host_key))
        return exchange_fail(x, REASON_MISDIRECTED);
    x->route = route;
    if (x->route == NULL)
        return exchange_fail(x, REASON_NO_ROUTE);
    choose_settings(x);
    return ask_policies(x);
}

static void ask_tls(const struct exchange *x, struct tls_info *tls)
{
    *tls = (struct tls_info){0};
    if (x->client->is_tls)
        tls_stream_info(x->client->tls_stream, tls);
}

enum step exchange_choose_route(struct exchange *x)
{
    const struct http_head *request = &x->request;
    const char *webroot;
    struct tls_info tls;

    ask_tls(x, &tls);
    forwarded_facts(x->env, x->globals, x->client, &x->arena, &request->fields, &x->facts);
    x->facts.sni = tls.sni;
    if (request->method == METHOD_CONNECT || request->method == METHOD_TRACE)
        return exchange_fail(x, REASON_METHOD_REFUSED);
    webroot = exchange_acme_webroot(x);
    if (webroot != NULL)
        return exchange_ask_acme(x, webroot);
    remember(x, &tls);
    if (!x->client->is_tls && !x->client->serves_routes)
        return redirect_to_https(x);
    return find_route(x, &tls);
}

/* --- once more -----------------------------------------------------------------------------------
 */

/* What it had of an older generation, until it does not need that any more. */
struct older {
    struct pin *pin; /* NULL: it had left it */
    struct globals *globals;
    const struct route *route;
    const struct upstream_spec *upstream;
    struct pool *pool;
    struct pool_wait *wait;
};

static struct older move_to_newest_pin(struct exchange *x)
{
    struct older older = {.pin = x->pin,
                          .globals = x->globals,
                          .route = x->route,
                          .upstream = x->upstream,
                          .pool = x->pool,
                          .wait = x->leg.pool_wait};

    list_remove(&x->pin_place);
    x->pin = x->env->pin;
    list_push_back(&x->pin->exchanges, &x->pin_place);
    x->generation = x->pin->snapshot->generation;
    x->globals = x->pin->snapshot->config->globals;
    x->route = NULL;
    x->settings = NULL;
    x->upstream = NULL;
    x->pool = NULL;
    x->leg.pool_wait = NULL;
    x->sticky = (struct sticky_claim){0};
    x->affinity_key = 0;
    x->outgoing = (struct http_head){0};
    return older;
}

static void leave_older(struct exchange *x, const struct older *older)
{
    struct proxy_env *env = x->env;

    env->drop_pool(env->worker, older->upstream);
    if (older->pin == NULL)
        env->retire_route(env->worker, older->route->host, older->globals);
}

enum step exchange_choose_again(struct exchange *x)
{
    struct older older = move_to_newest_pin(x);
    struct tls_info tls;
    enum step step;

    ask_tls(x, &tls);
    step = find_route(x, &tls);
    if (x->settings == NULL)
        forget_policies(x);
    if (x->state == TAKE_UPSTREAM && x->pool == older.pool) {
        struct pool_ask ask = exchange_pool_ask(x, &x->leg);
        if (pool_wait_follow(older.wait, &ask))
            x->leg.pool_wait = older.wait;
    }
    if (x->leg.pool_wait == NULL)
        pool_wait_end(older.wait);
    leave_older(x, &older);
    return step;
}
