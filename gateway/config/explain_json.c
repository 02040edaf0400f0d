/* An explanation as JSON, for programs. */
#include "base/clock.h"
#include "base/json_text.h"
#include "config/explain.h"

#include <math.h>

static const char *match_name(enum cert_match match)
{
    static const char *const names[] = {[CERT_MATCH_NONE] = "none",
                                        [CERT_MATCH_EXACT] = "exact",
                                        [CERT_MATCH_WILDCARD] = "wildcard",
                                        [CERT_MATCH_DEFAULT] = "default"};
    return names[match];
}

/* ,"NAME":"VALUE"; an empty one is null. `separator` "," or "{". */
static void print_member(struct buffer *out, const char *separator, const char *name,
                         struct slice value)
{
    buffer_printf(out, "%s\"%s\":", separator, name);
    if (value.len > 0)
        json_append_string(out, value);
    else
        buffer_append_text(out, "null");
}

static void print_text_member(struct buffer *out, const char *separator, const char *name,
                              const char *value)
{
    print_member(out, separator, name, slice_of(value ? value : ""));
}

static void print_misses(const struct near_misses *misses, const char *name, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":[", name);
    for (unsigned i = 0; i < misses->count; i++) {
        print_member(out, i > 0 ? ",{" : "{", "name", misses->list[i].name);
        print_member(out, ",", "why", misses->list[i].why);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

/* --- the way in ---------------------------------------------------------------------------------
 */

static void print_request(const struct explanation *e, struct buffer *out)
{
    const struct followed_request *request = e->request;
    const struct followed *f = &e->followed;

    print_member(out, ",\"request\":{", "method", request->method);
    print_text_member(out, ",", "scheme", request->is_tls ? "https" : "http");
    print_member(out, ",", "authority", request->authority);
    print_member(out, ",", "target", request->target);
    print_member(out, ",", "sni", request->sni);
    print_member(out, ",", "host", f->host);
    print_member(out, ",", "path", f->path);
    print_member(out, ",", "query", f->query);
    buffer_append_text(out, "}");
}

static void print_listener(const struct explanation *e, struct buffer *out)
{
    const struct listen_spec *listener = e->followed.listener;

    if (!listener) {
        print_text_member(out, ",", "unreachable", e->followed.unreachable);
        buffer_append_text(out, ",\"listener\":null");
        return;
    }
    buffer_append_text(out, ",\"unreachable\":null");
    print_text_member(out, ",\"listener\":{", "kind",
                      listener->kind == LISTEN_HTTPS ? "https" : "http");
    print_text_member(out, ",", "address", listener->text);
    print_text_member(out, ",", "serves",
                      listener->kind == LISTEN_HTTPS || listener->serves_routes ? "routes"
                                                                                : "redirect");
    buffer_append_text(out, ",\"proxy_protocol\":[");
    for (unsigned i = 0; i < listener->proxy_count; i++) {
        char network[ADDRESS_TEXT_SIZE];
        network_format(&listener->proxies[i], network);
        buffer_printf(out, "%s\"%s\"", i > 0 ? "," : "", network);
    }
    buffer_printf(out, "],\"is_other_port\":%s}", e->is_other_port ? "true" : "false");
}

static void print_client(const struct explanation *e, struct buffer *out)
{
    char peer[ADDRESS_TEXT_SIZE];

    if (e->request->peer.length == 0) {
        buffer_append_text(out, ",\"client\":null");
        return;
    }
    address_format_ip(&e->request->peer, peer);
    print_text_member(out, ",\"client\":{", "peer_ip", peer);
    buffer_printf(out, ",\"is_trusted\":%s", e->followed.is_trusted ? "true" : "false");
    print_member(out, ",", "client_ip", e->followed.client_ip);
    buffer_append_text(out, "}");
}

static void print_certificate(const struct explanation *e, const struct certificate *certificate,
                              struct buffer *out)
{
    const struct slice *names;
    int count = certificate_names(certificate, &names);
    int64_t not_after = certificate_not_after(certificate);
    char date[CLOCK_TEXT_SIZE];

    clock_format(not_after * 1000, date);
    print_text_member(out, "{", "file", certificate_file(certificate));
    buffer_append_text(out, ",\"names\":[");
    for (int i = 0; i < count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        json_append_string(out, names[i]);
    }
    buffer_append_text(out, "]");
    print_text_member(out, ",", "key", cert_key_name(certificate_key(certificate)));
    buffer_printf(out, ",\"not_after\":\"%s\",\"days_left\":%lld", date,
                  (long long)floor((double)(not_after - e->now) / 86400));
}

static void print_tls(const struct explanation *e, struct buffer *out)
{
    const struct tls_answer *tls = &e->followed.tls;
    static const char *const refusals[] = {[TLS_REFUSAL_NO_NAME] = "no_name",
                                           [TLS_REFUSAL_INVALID_NAME] = "invalid_name",
                                           [TLS_REFUSAL_UNKNOWN_NAME] = "unknown_name",
                                           [TLS_REFUSAL_NOT_USABLE] = "not_usable"};

    if (!e->request->is_tls || e->followed.unreachable) {
        buffer_append_text(out, ",\"tls\":null");
        return;
    }
    print_text_member(out, ",\"tls\":{", "alert", tls->alert);
    print_text_member(out, ",", "refusal", refusals[tls->refusal]);
    print_text_member(out, ",", "match", match_name(tls->match));
    print_member(out, ",", "san", tls->san);
    print_text_member(out, ",", "client_auth", client_auth_name(e->clients.rule->auth));
    print_text_member(out, ",", "client_ca", e->clients.rule->ca);
    print_member(out, ",", "client_auth_from", e->clients.from);
    buffer_append_text(out, ",\"certificate\":");
    if (tls->certificate)
        print_certificate(e, tls->certificate, out);
    buffer_append_text(out, tls->certificate ? "},\"others\":[" : "null,\"others\":[");
    for (unsigned i = 0; i < e->other_count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        print_certificate(e, e->others[i].certificate, out);
        print_text_member(out, ",", "match", match_name(e->others[i].match));
        print_member(out, ",", "san", e->others[i].san);
        print_text_member(out, ",", "why", e->others[i].why);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
    print_misses(&e->names, "near_names", out);
    buffer_append_text(out, "}");
}

/* --- what becomes of it -------------------------------------------------------------------------
 */

static void print_answer(const struct explanation *e, struct buffer *out)
{
    const struct followed *f = &e->followed;
    const char *by = f->unreachable                 ? "nobody"
                     : f->alert                     ? "alert"
                     : f->status || f->is_challenge ? "gateway"
                                                    : "backend";

    print_text_member(out, ",\"answer\":{", "by", by);
    if (f->status && !f->alert)
        buffer_printf(out, ",\"status\":%d", f->status);
    else
        buffer_append_text(out, ",\"status\":null");
    print_text_member(out, ",", "reason",
                      f->reason != REASON_NONE && !f->alert ? http_reason_word(f->reason) : NULL);
    print_member(out, ",", "location", f->alert ? slice_of("") : f->location);
    print_member(out, ",", "file", f->challenge);
    buffer_append_text(out, "}");
}

static void print_setting_list(const struct explained_setting *list, unsigned count,
                               struct buffer *out)
{
    buffer_append_text(out, "[");
    for (unsigned i = 0; i < count; i++) {
        print_text_member(out, i > 0 ? ",{" : "{", "key", list[i].key);
        print_member(out, ",", "value", list[i].value);
        print_member(out, ",", "from", list[i].from);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

static void print_settings(const struct explanation *e, const struct route_target *target,
                           struct buffer *out)
{
    struct explained_setting list[EXPLAIN_SETTINGS_MAX];
    struct arena arena = {0};
    unsigned count = explain_settings(e->followed.route, target, &arena, list);

    buffer_append_text(out, ",\"settings\":");
    print_setting_list(list, count, out);
    arena_clear(&arena);
}

static void print_edits(const struct explanation *e, const struct route_target *target,
                        enum setting setting, const char *name, struct buffer *out)
{
    struct arena arena = {0};
    struct explained_edit *list;
    unsigned count = explain_edits(e, target, setting, &arena, &list);

    buffer_printf(out, ",\"%s\":[", name);
    for (unsigned i = 0; i < count; i++) {
        print_text_member(out, i > 0 ? ",{" : "{", "edit", header_edit_word(list[i].edit->kind));
        print_member(out, ",", "name", list[i].edit->name);
        print_member(out, ",", "value", list[i].value);
        print_member(out, ",", "from", list[i].from);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
    arena_clear(&arena);
}

static void print_client_settings(const struct explanation *e, struct buffer *out)
{
    struct explained_setting list[EXPLAIN_CLIENT_SETTINGS];
    struct arena arena = {0};

    explain_client_settings(e->snapshot->globals, &arena, list);
    buffer_append_text(out, ",\"client_settings\":");
    print_setting_list(list, EXPLAIN_CLIENT_SETTINGS, out);
    arena_clear(&arena);
}

static void print_target(const struct explanation *e, const struct route_target *target,
                         struct buffer *out)
{
    const struct upstream_spec *upstream = target->upstream;
    const char *status = follow_is_denied(&target->settings, &e->followed) ? "403"
                         : follow_is_too_large(target, e->request)         ? "413"
                                                                           : "null";

    print_member(out, "{", "backend", upstream->name);
    buffer_printf(out, ",\"weight\":%u,\"percent\":%.2f,\"status\":%s,\"servers\":[",
                  target->weight, 100.0 * target->weight / (double)e->followed.route->total_weight,
                  status);
    for (unsigned i = 0; i < upstream->server_count; i++) {
        const struct server_spec *server = &upstream->servers[i];
        print_member(out, i > 0 ? ",{" : "{", "name", server->name);
        buffer_printf(out, ",\"weight\":%u,\"backup\":%s,\"verdict\":", server->weight,
                      server->is_backup ? "true" : "false");
        json_append_text(out, explain_verdict(e, upstream->name, server->name));
        buffer_append_text(out, "}");
    }
    buffer_printf(out, "],\"is_clients\":%s",
                  !e->followed.share            ? "null"
                  : e->followed.share == target ? "true"
                                                : "false");
    print_member(out, ",", "path", e->followed.backend_path);
    print_edits(e, target, SETTING_REQUEST_HEADERS, "request_headers", out);
    print_edits(e, target, SETTING_RESPONSE_HEADERS, "response_headers", out);
    print_settings(e, target, out);
    buffer_append_text(out, "}");
}

static void print_headers(const struct route *route, struct buffer *out)
{
    const struct http_fields *fields = &route->respond_fields;

    buffer_append_text(out, ",\"headers\":[");
    for (uint32_t i = 0; i < fields->count; i++) {
        print_member(out, i > 0 ? ",{" : "{", "name", fields->list[i].name);
        buffer_append_text(out, ",\"value\":");
        json_append_string(out, fields->list[i].value);
        buffer_append_text(out, "}");
    }
    buffer_printf(out, "],\"body_bytes\":%zu", route->respond_body.len);
}

static void print_route(const struct explanation *e, struct buffer *out)
{
    static const char *const kinds[] = {
        [ROUTE_TO] = "to", [ROUTE_REDIRECT] = "redirect", [ROUTE_RESPOND] = "respond"};
    const struct route *route = e->followed.route;

    print_member(out, ",", "route", route ? route->name : slice_of("none"));
    print_text_member(out, ",", "kind", route ? kinds[route->kind] : NULL);
    print_member(out, ",", "host_entry", e->followed.host_key);
    print_misses(&e->hosts, "near_hosts", out);
    print_misses(&e->paths, "near_paths", out);
    if (route && route->kind == ROUTE_RESPOND)
        print_headers(route, out);
    buffer_append_text(out, ",\"targets\":[");
    for (unsigned i = 0; route && i < route->target_count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        print_target(e, &route->targets[i], out);
    }
    buffer_append_text(out, "]");
    if (route && route->kind != ROUTE_TO) {
        print_edits(e, NULL, SETTING_RESPONSE_HEADERS, "response_headers", out);
        print_settings(e, NULL, out);
    }
}

void explain_print_json(const struct explanation *explanation, bool is_live, struct buffer *out)
{
    if (is_live)
        buffer_printf(out, "{\"generation\":%llu",
                      (unsigned long long)explanation->snapshot->generation);
    else
        buffer_append_text(out, "{\"generation\":null");
    print_request(explanation, out);
    print_listener(explanation, out);
    print_client(explanation, out);
    print_tls(explanation, out);
    print_answer(explanation, out);
    print_route(explanation, out);
    print_client_settings(explanation, out);
    buffer_append_text(out, "}\n");
}
