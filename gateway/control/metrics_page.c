#include "control/metrics_page.h"

#include "control/cache_pages.h"
#include "control/cert_metrics.h"
#include "control/metrics_text.h"
#include "control/process_metrics.h"
#include "control/server_metrics.h"
#include "net/descriptors.h"
#include "policy/policy.h"
#include "proxy/http2_ends.h"
#include "proxy/route_counters.h"
#include "version.h"

/* --- requests ----------------------------------------------------------------------------------
 */

static const char *const method_names[ROUTE_METHODS] = {
    [METHOD_GET] = "GET",         [METHOD_HEAD] = "HEAD",     [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT",         [METHOD_DELETE] = "DELETE", [METHOD_CONNECT] = "CONNECT",
    [METHOD_OPTIONS] = "OPTIONS", [METHOD_TRACE] = "TRACE",   [METHOD_PATCH] = "PATCH",
    [METHOD_OTHER] = "other",
};
static const char *const code_names[ROUTE_CODES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

static void print_route_requests(struct metrics_family *family, struct slice route,
                                 const struct route_sums *sums)
{
    for (int method = 0; method < ROUTE_METHODS; method++) {
        for (int code = 0; code < ROUTE_CODES; code++) {
            if (sums->requests[method][code] == 0)
                continue;
            family->labels[0] = (struct metrics_label){"route", route};
            family->labels[1] = (struct metrics_label){"method", slice_of(method_names[method])};
            family->labels[2] = (struct metrics_label){"code", slice_of(code_names[code])};
            metrics_sample(family, sums->requests[method][code]);
        }
    }
}

static void print_routes(const struct status_page *page, struct buffer *out)
{
    struct series *routes = page->control->traffic->routes;
    struct route_sums sums;
    struct slice route;
    struct metrics_family family =
        metrics_begin(out, "sallyport_http_requests_total", "counter",
                      "Requests that ended, by route, method and class of the status.");

    for (size_t at = 0; series_next(routes, &at, &route, (uint64_t *)&sums);)
        print_route_requests(&family, route, &sums);
    family = metrics_begin(out, "sallyport_http_request_duration_seconds", "histogram",
                           "From a request's first byte to the end of its response.");
    for (size_t at = 0; series_next(routes, &at, &route, (uint64_t *)&sums);) {
        family.labels[0] = (struct metrics_label){"route", route};
        metrics_histogram(&family, sums.duration_counts, sums.duration_us);
    }
}

static void print_policies(const struct status_page *page, struct buffer *out)
{
    struct series *routes = page->control->traffic->policies;
    uint64_t sums[POLICY_KINDS][POLICY_OUTCOMES];
    struct slice route;
    struct metrics_family family =
        metrics_begin(out, "sallyport_policy_decisions_total", "counter",
                      "What came of policies for requests, by policy, route and outcome.");

    for (size_t at = 0; series_next(routes, &at, &route, &sums[0][0]);)
        for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++)
            for (enum policy_outcome outcome = 0; outcome < POLICY_OUTCOMES; outcome++) {
                if (sums[kind][outcome] == 0)
                    continue;
                family.labels[0] = (struct metrics_label){"policy", slice_of(policy_name(kind))};
                family.labels[1] = (struct metrics_label){"route", route};
                family.labels[2] =
                    (struct metrics_label){"outcome", slice_of(policy_outcome_word(outcome))};
                metrics_sample(&family, sums[kind][outcome]);
            }
}

static void print_http(const struct status_page *page, struct buffer *out)
{
    const uint64_t *metrics = page->metrics;
    struct metrics_family family;

    print_routes(page, out);
    print_policies(page, out);
    metrics_single(out, "sallyport_http_requests_in_flight", "gauge",
                   "Requests that have begun and not ended, tunnels among them.",
                   metrics[METRIC_REQUESTS_IN_FLIGHT]);
    family = metrics_begin(out, "sallyport_http_bytes_total", "counter",
                           "Bytes of bodies from clients (in) and to them (out).");
    family.labels[0] = (struct metrics_label){"direction", slice_of("in")};
    metrics_sample(&family, metrics[METRIC_BYTES_IN]);
    family.labels[0].value = slice_of("out");
    metrics_sample(&family, metrics[METRIC_BYTES_OUT]);
}

/* --- TLS and connections -----------------------------------------------------------------------
 */

static void print_handshakes(const struct status_page *page, struct buffer *out)
{
    static const struct {
        enum metric metric;
        const char *version, *resumed, *result;
    } rows[] = {
        {METRIC_HANDSHAKES_TLS_1_2, "TLSv1.2", "false", "ok"},
        {METRIC_HANDSHAKES_TLS_1_2_RESUMED, "TLSv1.2", "true", "ok"},
        {METRIC_HANDSHAKES_TLS_1_3, "TLSv1.3", "false", "ok"},
        {METRIC_HANDSHAKES_TLS_1_3_RESUMED, "TLSv1.3", "true", "ok"},
        {METRIC_PLAINTEXT_ON_TLS, "none", "false", "plaintext_http"},
        {METRIC_HANDSHAKES_NOT_TLS, "none", "false", "not_tls"},
        {METRIC_HANDSHAKES_UNRECOGNIZED_NAME, "none", "false", "unrecognized_name"},
        {METRIC_HANDSHAKES_NOTHING_SHARED, "none", "false", "nothing_shared"},
        {METRIC_HANDSHAKES_PEER_FAILED, "none", "false", "peer_failed"},
        {METRIC_HANDSHAKES_TIMEOUT, "none", "false", "timeout"},
        {METRIC_HANDSHAKES_CLIENT_MISSING, "none", "false", "client_cert_missing"},
        {METRIC_HANDSHAKES_CLIENT_EXPIRED, "none", "false", "client_cert_expired"},
        {METRIC_HANDSHAKES_CLIENT_UNTRUSTED, "none", "false", "client_cert_untrusted"},
        {METRIC_HANDSHAKES_CLIENT_REFUSED, "none", "false", "client_cert_refused"},
        {METRIC_HANDSHAKES_SILENT, "none", "false", "silent"},
    };
    struct metrics_family family =
        metrics_begin(out, "sallyport_tls_handshakes_total", "counter",
                      "TLS handshakes by what they came to; one that failed has no version.");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        family.labels[0] = (struct metrics_label){"version", slice_of(rows[i].version)};
        family.labels[1] = (struct metrics_label){"resumed", slice_of(rows[i].resumed)};
        family.labels[2] = (struct metrics_label){"result", slice_of(rows[i].result)};
        metrics_sample(&family, page->metrics[rows[i].metric]);
    }
}

static void print_proxy_headers(const struct status_page *page, struct buffer *out)
{
    static const struct {
        enum metric metric;
        const char *reason;
    } rows[] = {
        {METRIC_PROXY_NO_HEADER, "no_header"},
        {METRIC_PROXY_MALFORMED, "malformed"},
        {METRIC_PROXY_TOO_LONG, "too_long"},
        {METRIC_PROXY_CHECKSUM, "checksum"},
        {METRIC_PROXY_CUT, "cut"},
        {METRIC_PROXY_TIMEOUT, "timeout"},
    };
    struct metrics_family family =
        metrics_begin(out, "sallyport_proxy_protocol_refused_total", "counter",
                      "Connections closed for want of a good PROXY protocol header, by reason.");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        family.labels[0] = (struct metrics_label){"reason", slice_of(rows[i].reason)};
        metrics_sample(&family, page->metrics[rows[i].metric]);
    }
}

static void print_http2_ends(const struct status_page *page, struct buffer *out)
{
    struct metrics_family family =
        metrics_begin(out, "sallyport_http2_connections_ended_total", "counter",
                      "HTTP/2 connections ended for what their client did, by reason.");

    for (int i = 0; i < HTTP2_ENDS; i++) {
        family.labels[0] = (struct metrics_label){"reason", slice_of(http2_ends[i].word)};
        metrics_sample(&family, page->metrics[http2_ends[i].metric]);
    }
}

/* The workers count while they are added up: what is left is never less than nothing. */
static void print_connections(const struct status_page *page, struct buffer *out)
{
    static const char *const states[] = {"handshaking", "idle", "active"};
    uint64_t handshaking = page->metrics[METRIC_CONNECTIONS_HANDSHAKING];
    uint64_t idle = page->metrics[METRIC_CONNECTIONS_IDLE];
    uint64_t open = page->metrics[METRIC_CONNECTIONS_OPEN];
    const uint64_t counts[] = {handshaking, idle,
                               open > handshaking + idle ? open - handshaking - idle : 0};
    struct metrics_family family = metrics_begin(out, "sallyport_connections", "gauge",
                                                 "Open connections of clients, by state.");

    for (int i = 0; i < 3; i++) {
        family.labels[0] = (struct metrics_label){"state", slice_of(states[i])};
        metrics_sample(&family, counts[i]);
    }
}

static void print_refusals(const struct status_page *page, struct buffer *out)
{
    static const struct {
        const char *reason;
        enum metric metric;
    } rows[] = {
        {"connections", METRIC_REFUSED_CONNECTIONS},
        {"connections_per_ip", METRIC_REFUSED_CONNECTIONS_PER_IP},
        {"handshakes", METRIC_REFUSED_HANDSHAKES},
        {"descriptors", METRIC_REFUSED_DESCRIPTORS},
        {"memory", METRIC_REFUSED_MEMORY},
    };
    struct metrics_family family =
        metrics_begin(out, "sallyport_connections_refused_total", "counter",
                      "Connections of clients that were closed at once, by the limit reached.");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        family.labels[0] = (struct metrics_label){"reason", slice_of(rows[i].reason)};
        metrics_sample(&family, page->metrics[rows[i].metric]);
    }
}

static void print_connection_limits(const struct status_page *page, struct buffer *out)
{
    const struct client_limits none = {0};
    const struct client_limits *limits =
        page->snapshot != NULL ? &page->snapshot->globals->client_limits : &none;
    const struct {
        const char *limit;
        uint32_t most;
    } rows[] = {{"connections", limits->connections},
                {"connections_per_ip", limits->connections_per_ip},
                {"handshakes", limits->handshakes},
                {"descriptors", descriptors_for_clients()}};
    struct metrics_family family =
        metrics_begin(out, "sallyport_connections_limit", "gauge",
                      "How many connections of clients, of one address, or handshakes there may "
                      "be; 0: no limit.");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        family.labels[0] = (struct metrics_label){"limit", slice_of(rows[i].limit)};
        metrics_sample(&family, rows[i].most);
    }
}

/* --- the gateway -------------------------------------------------------------------------------
 */

static void print_loads(const struct status_page *page, struct buffer *out)
{
    const struct load_record *record = page->loads;
    struct metrics_family family;

    metrics_single(out, "sallyport_config_generation", "gauge", "The generation that is served.",
                   page->snapshot != NULL ? page->snapshot->generation : 0);
    metrics_single(out, "sallyport_config_last_reload_successful", "gauge",
                   "1 if the last load was not refused.", record->last_is_fine);
    metrics_single(out, "sallyport_config_last_reload_success_timestamp_seconds", "gauge",
                   "When a load last was not refused, in seconds since 1970.",
                   (uint64_t)record->last_fine_s);
    family = metrics_begin(out, "sallyport_config_reloads_total", "counter",
                           "Loads by what became of them, the one at the start among them.");
    for (int i = 0; i < LOAD_RESULTS; i++) {
        const char *name = load_result_name((enum load_result)i);
        family.labels[0] = (struct metrics_label){"result", slice_of(name)};
        metrics_sample(&family, record->counts[i]);
    }
}

static void print_build(struct buffer *out)
{
    struct metrics_family family =
        metrics_begin(out, "sallyport_build_info", "gauge", "1; what is running is in the labels.");

    family.labels[0] = (struct metrics_label){"version", slice_of(SALLYPORT_VERSION)};
    family.labels[1] = (struct metrics_label){"tls_library", slice_of(tls_library_version())};
    family.labels[2] = (struct metrics_label){"build_type", slice_of(SALLYPORT_BUILD_TYPE)};
    metrics_sample(&family, 1);
}

void metrics_page_print(const struct status_page *page, struct buffer *out)
{
    const struct snapshot *snapshot = page->snapshot;

    print_http(page, out);
    server_metrics_print(page, out);
    cache_metrics_print(page, out);
    print_handshakes(page, out);
    print_proxy_headers(page, out);
    print_http2_ends(page, out);
    cert_metrics_print(&page->certificates,
                       snapshot != NULL ? snapshot->globals->metrics_series : 0, out);
    print_connections(page, out);
    print_refusals(page, out);
    print_connection_limits(page, out);
    print_loads(page, out);
    metrics_single(out, "sallyport_log_dropped_total", "counter",
                   "Lines of the access log that were lost.", page->log_lost);
    print_build(out);
    process_metrics_print(out);
}
