/* An explanation for people, from the handshake to the servers. */
#include "base/clock.h"
#include "base/terminal.h"
#include "config/diff_words.h"
#include "config/explain.h"

#include <stdarg.h>
#include <stdio.h>

#define NAMED(slice) (int)(slice).len, (slice).at

struct page {
    const struct explanation *e;
    struct buffer *out;
    bool is_coloured;
};

/* --- lines --------------------------------------------------------------------------------------
 */

enum colour { PLAIN, BOLD, RED, GREEN };

static const char *colour_code(const struct page *page, enum colour colour)
{
    static const char *const codes[] = {"", "\033[1m", "\033[31m", "\033[32m"};

    return page->is_coloured ? codes[colour] : "";
}

/* A word in the first column, "" where it goes on, and the line behind it. */
__attribute__((format(printf, 4, 5))) static void line(struct page *page, const char *label,
                                                       enum colour colour, const char *format, ...)
{
    char text[4096]; /* what is longer is cut */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_printf(page->out, "%s%-12s%s%s", colour_code(page, BOLD), label,
                  page->is_coloured ? "\033[0m" : "", colour_code(page, colour));
    terminal_append_text(page->out, text);
    buffer_printf(page->out, "%s\n", page->is_coloured && colour != PLAIN ? "\033[0m" : "");
}

static void print_misses(struct page *page, const char *prefix, const struct near_misses *misses)
{
    for (unsigned i = 0; i < misses->count; i++)
        line(page, "", PLAIN, "  not %s%.*s: %.*s", prefix, NAMED(misses->list[i].name),
             NAMED(misses->list[i].why));
}

/* --- the way in ---------------------------------------------------------------------------------
 */

static void print_request(struct page *page)
{
    const struct followed_request *request = page->e->request;
    const struct followed *f = &page->e->followed;
    struct slice sent = request->target;
    ptrdiff_t query = slice_find(sent, '?');

    if (query >= 0)
        sent.len = (size_t)query;
    line(page, "request", PLAIN, "%.*s %s://%.*s%.*s", NAMED(request->method),
         request->is_tls ? "https" : "http", NAMED(request->authority), NAMED(request->target));
    if (f->path.len > 0 && !slice_equal(f->path, sent))
        line(page, "", PLAIN, "its path is matched, forwarded and logged as %.*s", NAMED(f->path));
}

static void print_listener(struct page *page)
{
    const struct listen_spec *listener = page->e->followed.listener;

    if (!listener) {
        line(page, "listener", RED, "none: %s", page->e->followed.unreachable);
        return;
    }
    line(page, "listener", PLAIN, "%s %s%s", listener->kind == LISTEN_HTTPS ? "https" : "http",
         listener->text,
         listener->kind == LISTEN_HTTPS ? ""
         : listener->serves_routes      ? ", which serves the routes in plaintext"
                                        : ", which redirects everything to https");
    if (listener->proxy_count > 0) {
        struct arena arena = {0};
        line(page, "", PLAIN, "a PROXY protocol header is required from %.*s, refused from others",
             NAMED(words_proxies(&arena, listener)));
        arena_clear(&arena);
    }
    if (page->e->is_other_port)
        line(page, "", PLAIN, "no listener of that kind has port %u: this one's answer is told",
             page->e->request->port);
}

static void print_client(struct page *page)
{
    const struct explanation *e = page->e;

    if (e->request->peer.length == 0)
        return;
    if (e->followed.is_trusted)
        line(page, "client", PLAIN,
             "client_ip %.*s: the peer is in trusted_proxies, its X-Forwarded-For is believed",
             NAMED(e->followed.client_ip));
    else
        line(page, "client", PLAIN,
             "client_ip %.*s: the peer is not in trusted_proxies, what it says of itself is "
             "removed",
             NAMED(e->followed.client_ip));
}

/* --- the handshake ------------------------------------------------------------------------------
 */

static void print_names(struct page *page, const struct certificate *certificate)
{
    enum { NAMES_MAX = 10 };
    const struct slice *names;
    int count = certificate_names(certificate, &names),
        shown = count < NAMES_MAX ? count : NAMES_MAX;
    struct buffer text = {0};

    for (int i = 0; i < shown; i++)
        buffer_printf(&text, "%s%.*s", i > 0 ? ", " : "", NAMED(names[i]));
    if (shown < count)
        buffer_printf(&text, " and %d more", count - shown);
    line(page, "", PLAIN, "names: %.*s", NAMED(buffer_content(&text)));
    buffer_clear(&text);
}

static void print_dates(struct page *page, const struct certificate *certificate)
{
    int64_t left_s = certificate_not_after(certificate) - page->e->now;
    char date[CLOCK_TEXT_SIZE];

    clock_format(certificate_not_after(certificate) * 1000, date);
    if (left_s < 0)
        line(page, "", RED, "%s, expired on %.10s", cert_key_name(certificate_key(certificate)),
             date);
    else
        line(page, "", PLAIN, "%s, until %.10s: %lld days left",
             cert_key_name(certificate_key(certificate)), date, (long long)(left_s / 86400));
}

static void print_rule(struct page *page)
{
    const struct tls_answer *tls = &page->e->followed.tls;
    const struct followed_request *request = page->e->request;
    bool has_sni = request->sni.len > 0;
    const char *file = certificate_file(tls->certificate);

    if (tls->match == CERT_MATCH_DEFAULT && !has_sni)
        line(page, "certificate", GREEN, "%s: the default certificate, for want of an SNI", file);
    else if (tls->match == CERT_MATCH_DEFAULT)
        line(page, "certificate", GREEN,
             "%s: the default certificate, as no other one covers the SNI %.*s", file,
             NAMED(request->sni));
    else if (tls->match == CERT_MATCH_WILDCARD)
        line(page, "certificate", GREEN, "%s: the SNI %.*s matches its wildcard %.*s", file,
             NAMED(request->sni), NAMED(tls->san));
    else
        line(page, "certificate", GREEN, "%s: the SNI %.*s is exactly its name", file,
             NAMED(request->sni));
}

static const char *refusal_words(enum tls_refusal refusal)
{
    switch (refusal) {
    case TLS_REFUSAL_NO_NAME: return "no SNI is sent, and there is no tls.default_cert";
    case TLS_REFUSAL_INVALID_NAME: return "the SNI is no host name";
    case TLS_REFUSAL_UNKNOWN_NAME: return "no certificate covers the SNI";
    case TLS_REFUSAL_NOT_USABLE: return "those that cover the SNI need what the client cannot do";
    case TLS_REFUSAL_NONE: break;
    }
    return "";
}

/* What is said of a client's certificate, where one is asked for. */
static void print_clients(struct page *page)
{
    const struct explained_clients *clients = &page->e->clients;

    if (!page->e->followed.tls.certificate || clients->rule->auth == CLIENT_AUTH_OFF)
        return;
    line(page, "client cert", PLAIN, "%s by %.*s; an authority in %s has to have signed it",
         clients->rule->auth == CLIENT_AUTH_REQUIRE ? "required" : "requested",
         NAMED(clients->from), clients->rule->ca);
    if (clients->rule->auth == CLIENT_AUTH_REQUIRE)
        line(page, "", PLAIN,
             "without one the handshake is refused: certificate_required, in TLS 1.2 "
             "handshake_failure");
}

static void print_handshake(struct page *page)
{
    const struct explanation *e = page->e;
    const struct tls_answer *tls = &e->followed.tls;

    if (tls->certificate) {
        print_rule(page);
        print_names(page, tls->certificate);
        print_dates(page, tls->certificate);
    } else {
        line(page, "certificate", RED, "none: %s", refusal_words(tls->refusal));
        line(page, "", RED, "the handshake is refused with the alert %s", tls->alert);
    }
    print_clients(page);
    for (unsigned i = 0; i < e->other_count; i++) {
        const struct other_certificate *other = &e->others[i];
        line(page, "", PLAIN, "  not %s (%.*s, %s): %s", certificate_file(other->certificate),
             NAMED(other->san), cert_key_name(certificate_key(other->certificate)), other->why);
    }
    print_misses(page, "", &e->names);
}

/* --- the route ----------------------------------------------------------------------------------
 */

static const char *reason_words(const struct followed *f)
{
    switch (f->reason) {
    case REASON_BAD_REQUEST: return "the host, the path or a header's name is one that is refused";
    case REASON_URI_TOO_LONG: return "the request's first line is over limits.request_line";
    case REASON_METHOD_REFUSED: return "CONNECT and TRACE are refused";
    case REASON_MISDIRECTED:
        if (f->is_unknown)
            return "the host asks for a client certificate, and not as the handshake did";
        return "another certificate here covers the host, this connection's does not";
    case REASON_DENIED: return "the client's address may not come, by allow and deny";
    case REASON_BODY_TOO_LARGE: return "the body is larger than max_body";
    default: return "no route matches";
    }
}

static void print_answer(struct page *page)
{
    const struct followed *f = &page->e->followed;
    const char *label = f->alert ? "" : "answer";

    if (f->alert)
        line(page, "answer", RED, "none, as the handshake is refused; but for that:");
    if (f->reason != REASON_NONE)
        line(page, label, RED, "%d %s: %s", f->status, http_reason_word(f->reason),
             reason_words(f));
    else if (f->challenge.len > 0)
        line(page, label, GREEN, "of acme_webroot: 200 with %.*s, 404 while it is not there",
             NAMED(f->challenge));
    else if (f->location.len > 0)
        line(page, label, GREEN, "%d, Location: %.*s", f->status, NAMED(f->location));
    else if (f->status)
        line(page, label, GREEN, "%d, by the gateway itself", f->status);
    else
        line(page, label, GREEN, "a backend's");
}

static void print_route(struct page *page)
{
    const struct followed *f = &page->e->followed;
    bool was_asked = f->route || (f->reason == REASON_NO_ROUTE && !f->is_challenge);

    if (!was_asked)
        return;
    if (f->route)
        line(page, "route", GREEN, "%.*s", NAMED(f->route->name));
    else if (f->host_key.len > 0)
        line(page, "route", RED, "none: the host matches %.*s, and none of its paths does",
             NAMED(f->host_key));
    else
        line(page, "route", RED, "none: no entry matches the host %.*s", NAMED(f->host));
    print_misses(page, "path ", &page->e->paths);
    print_misses(page, "host ", &page->e->hosts);
}

static void print_setting(struct page *page, const char *label,
                          const struct explained_setting *setting)
{
    line(page, label, PLAIN, "%-25s %-9.*s %.*s", setting->key, NAMED(setting->value),
         NAMED(setting->from));
}

static void print_settings(struct page *page, const struct route_target *target)
{
    struct explained_setting list[EXPLAIN_SETTINGS_MAX];
    struct arena arena = {0};
    unsigned count = explain_settings(page->e->followed.route, target, &arena, list);

    for (unsigned i = 0; i < count; i++)
        print_setting(page, i > 0 ? "" : "settings", &list[i]);
    arena_clear(&arena);
}

/* Of the connection, before there is a route. */
static void print_client_settings(struct page *page)
{
    struct explained_setting list[EXPLAIN_CLIENT_SETTINGS];
    struct arena arena = {0};

    explain_client_settings(page->e->snapshot->globals, &arena, list);
    for (unsigned i = 0; i < EXPLAIN_CLIENT_SETTINGS; i++)
        print_setting(page, i > 0 ? "" : "connection", &list[i]);
    arena_clear(&arena);
}

/* Whether this client is among those. */
static const char *share_words(const struct followed *f, const struct route_target *target)
{
    if (!f->share)
        return "";
    return f->share == target ? ", this one among them" : ", not this one";
}

static void print_edits(struct page *page, const char *label, const struct route_target *target,
                        enum setting setting)
{
    struct arena arena = {0};
    struct explained_edit *list;
    unsigned count = explain_edits(page->e, target, setting, &arena, &list);

    for (unsigned i = 0; i < count; i++) {
        const struct header_edit *edit = list[i].edit;
        const char *word = header_edit_word(edit->kind), *first = i > 0 ? "" : label;
        if (edit->kind == HEADER_REMOVE)
            line(page, first, PLAIN, "%s %.*s, by %.*s", word, NAMED(edit->name),
                 NAMED(list[i].from));
        else if (list[i].value.len == 0)
            line(page, first, PLAIN, "%s %.*s: left out, as its value is empty, by %.*s", word,
                 NAMED(edit->name), NAMED(list[i].from));
        else
            line(page, first, PLAIN, "%s %.*s: %.*s, by %.*s", word, NAMED(edit->name),
                 NAMED(list[i].value), NAMED(list[i].from));
    }
    arena_clear(&arena);
}

static void print_target(struct page *page, const struct route_target *target)
{
    const struct upstream_spec *upstream = target->upstream;
    const struct route *route = page->e->followed.route;

    if (route->target_count == 1)
        line(page, "backend", PLAIN, "%.*s", NAMED(upstream->name));
    else if (target->weight == 0)
        line(page, "backend", PLAIN, "%.*s: its share is 0, it gets nothing new",
             NAMED(upstream->name));
    else
        line(page, "backend", PLAIN, "%.*s: %.4g%% of the %s%s", NAMED(upstream->name),
             100.0 * target->weight / (double)route->total_weight,
             route->split_on.kind != AFFINITY_NONE ? "clients" : "requests",
             share_words(&page->e->followed, target));
    if (follow_is_denied(&target->settings, &page->e->followed))
        line(page, "", RED, "403 denied: the client's address may not come, by allow and deny");
    else if (follow_is_too_large(target, page->e->request))
        line(page, "", RED, "413 body_too_large: the body is larger than max_body");
    for (unsigned i = 0; i < upstream->server_count; i++) {
        const struct server_spec *server = &upstream->servers[i];
        const char *verdict = explain_verdict(page->e, upstream->name, server->name);
        line(page, "", PLAIN, "  %.*s, weight %u%s%s%s%s", NAMED(server->name), server->weight,
             server->weight == 0 ? ": gets nothing new" : "",
             server->is_backup ? ", a backup: only while no other one is up" : "",
             verdict != NULL ? ", by its checks: " : "", verdict != NULL ? verdict : "");
    }
    if (!slice_equal(page->e->followed.backend_path, page->e->followed.path))
        line(page, "", PLAIN, "it gets the path %.*s, by rewrite",
             NAMED(page->e->followed.backend_path));
    print_edits(page, "to backend", target, SETTING_REQUEST_HEADERS);
    print_edits(page, "to client", target, SETTING_RESPONSE_HEADERS);
    print_settings(page, target);
}

static void print_outcome(struct page *page)
{
    const struct route *route = page->e->followed.route;

    for (unsigned i = 0; route && i < route->target_count; i++)
        print_target(page, &route->targets[i]);
    if (!route || route->kind == ROUTE_TO)
        return;
    for (uint32_t i = 0; i < route->respond_fields.count; i++)
        line(page, i > 0 ? "" : "headers", PLAIN, "%.*s: %.*s",
             NAMED(route->respond_fields.list[i].name), NAMED(route->respond_fields.list[i].value));
    if (route->kind == ROUTE_RESPOND)
        line(page, "body", PLAIN, "%zu bytes", route->respond_body.len);
    print_edits(page, "to client", NULL, SETTING_RESPONSE_HEADERS);
    print_settings(page, NULL);
}

void explain_print_text(const struct explanation *explanation, bool is_live, bool is_coloured,
                        struct buffer *out)
{
    struct page page = {.e = explanation, .out = out, .is_coloured = is_coloured};

    if (is_live)
        line(&page, "generation", PLAIN, "%llu",
             (unsigned long long)explanation->snapshot->generation);
    print_request(&page);
    print_listener(&page);
    if (explanation->followed.unreachable)
        return;
    print_client(&page);
    if (explanation->request->is_tls)
        print_handshake(&page);
    print_answer(&page);
    print_route(&page);
    print_outcome(&page);
    print_client_settings(&page);
}
