#include "base/clock.h"
#include "base/json_text.h"
#include "base/terminal.h"
#include "control/cache_pages.h"
#include "control/endpoints.h"
#include "control/status_page.h"
#include "net/descriptors.h"
#include "version.h"

#include <inttypes.h>

static uint64_t uptime_s(const struct status_page *page)
{
    return (clock_monotonic_ms() - page->control->started_ms) / 1000;
}

static uint64_t generation(const struct status_page *page)
{
    return page->snapshot != NULL ? page->snapshot->generation : 0;
}

static const char *server_state(const struct status_server *server)
{
    if (status_server_is_down(server))
        return "down";
    if (server->ejected_ms > 0)
        return "ejected";
    return status_server_is_up(server) ? "up" : "skipped";
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void print_listeners(const struct status_page *page, struct buffer *out)
{
    const struct listeners *listeners = page->control->listeners;
    buffer_append_text(out, "\"listeners\":{\"https\":");
    listeners_print_json(listeners, LISTEN_HTTPS, out);
    buffer_append_text(out, ",\"http\":");
    listeners_print_json(listeners, LISTEN_HTTP, out);
    buffer_append_text(out, ",\"status\":");
    listeners_print_json(listeners, LISTEN_STATUS, out);
    buffer_append_text(out, ",\"admin\":");
    json_append_text(out, endpoints_admin_address(page->control->endpoints));
    buffer_append_text(out, "}");
}

static uint64_t refused(const struct status_page *page)
{
    const uint64_t *metrics = page->metrics;
    return metrics[METRIC_REFUSED_CONNECTIONS] + metrics[METRIC_REFUSED_CONNECTIONS_PER_IP] +
           metrics[METRIC_REFUSED_HANDSHAKES] + metrics[METRIC_REFUSED_DESCRIPTORS] +
           metrics[METRIC_REFUSED_MEMORY];
}

/* 0: no limit. */
static struct client_limits limits_of(const struct status_page *page)
{
    const struct client_limits none = {0};
    return page->snapshot != NULL ? page->snapshot->globals->client_limits : none;
}

static void print_metrics(const struct status_page *page, struct buffer *out)
{
    const uint64_t *metrics = page->metrics;
    const struct client_limits limits = limits_of(page);
    buffer_printf(out,
                  "\"connections\":{\"open\":%" PRIu64 ",\"handshaking\":%" PRIu64
                  ",\"idle\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"limits\":{\"connections\":%u,"
                  "\"connections_per_ip\":%u,\"handshakes\":%u,\"descriptors\":%u}},"
                  "\"requests\":%" PRIu64 ",\"metrics\":{",
                  metrics[METRIC_CONNECTIONS_OPEN], metrics[METRIC_CONNECTIONS_HANDSHAKING],
                  metrics[METRIC_CONNECTIONS_IDLE], refused(page), limits.connections,
                  limits.connections_per_ip, limits.handshakes, descriptors_for_clients(),
                  metrics[METRIC_REQUESTS]);
    for (int i = 0; i < METRIC_COUNT; i++)
        buffer_printf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", metric_name((enum metric)i),
                      i == METRIC_LOG_DROPPED ? page->log_lost : metrics[i]);
    buffer_append_text(out, "}");
}

/* What checks make of it; null without any. */
static void print_check(const struct status_server *server, struct buffer *out)
{
    const struct health *health = &server->checked.health;
    char since[CLOCK_TEXT_SIZE], reason[HEALTH_REASON_SIZE];
    buffer_append_text(out, ",\"check\":");
    if (!server->is_checked) {
        buffer_append_text(out, "null");
        return;
    }
    clock_format(server->checked.since_ms, since);
    health_reason(health->bad, reason);
    buffer_printf(out,
                  "{\"verdict\":\"%s\",\"since\":\"%s\",\"last_is_good\":%s,"
                  "\"in_a_row\":%u,\"last_failure\":",
                  check_verdict_name(health->verdict), since, health->is_good ? "true" : "false",
                  health->in_a_row);
    json_append_text(out, health->bad.result != HEALTH_GOOD ? reason : NULL);
    buffer_append_text(out, "}");
}

/* Limits of 0: none. */
static void print_held(const struct status_backend *backend, struct buffer *out)
{
    const struct upstream_spec *spec = backend->spec;
    buffer_printf(out,
                  ",\"in_flight\":%u,\"held\":%u,\"limits\":{\"max_requests\":%u,"
                  "\"max_connections\":%u,\"queue\":%u}",
                  backend->requests, backend->held, spec->max_requests, spec->max_connections,
                  spec->hold.for_ms != 0 ? spec->hold.queue : 0);
}

static void print_backends(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "\"backends\":[");
    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        buffer_append_text(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_append_string(out, backend->name);
        print_held(backend, out);
        buffer_append_text(out, ",\"servers\":[");
        for (unsigned k = 0; k < backend->server_count; k++) {
            const struct status_server *server = &backend->servers[k];
            buffer_append_text(out, k > 0 ? ",{\"name\":" : "{\"name\":");
            json_append_string(out, server->name);
            buffer_printf(out,
                          ",\"state\":\"%s\",\"weight\":%u,\"backup\":%s,\"idle\":%u,\"busy\":%u,"
                          "\"connections\":%u,\"requests\":%" PRIu64
                          ",\"connect_failures\":%" PRIu64,
                          server_state(server), server->weight,
                          server->is_backup ? "true" : "false", server->idle, server->busy,
                          server->connections, server->requests, server->connect_failures);
            if (server->ejected_ms > 0)
                buffer_printf(out, ",\"ejected_ms\":%" PRIu64, server->ejected_ms);
            else
                buffer_append_text(out, ",\"ejected_ms\":null");
            print_check(server, out);
            if (server->reported_by > 0)
                buffer_printf(out, ",\"idle_limit_ms\":%" PRIu64 "}", server->idle_limit_ms);
            else
                buffer_append_text(out, ",\"idle_limit_ms\":null}");
        }
        buffer_append_text(out, "]}");
    }
    buffer_append_text(out, "]");
}

static void print_certificate(const struct certificate_row *row, struct buffer *out)
{
    const struct certificate *certificate = row->certificate;
    const struct slice *names;
    int count = certificate != NULL ? certificate_names(certificate, &names) : 0;
    buffer_append_text(out, "{\"names\":[");
    for (int k = 0; k < count; k++) {
        buffer_append_text(out, k > 0 ? "," : "");
        json_append_string(out, names[k]);
    }
    buffer_append_text(out, "],\"key\":");
    json_append_text(out, certificate ? cert_key_name(certificate_key(certificate)) : NULL);
    buffer_append_text(out, ",\"file\":");
    json_append_text(out, row->file);
    char not_after[CLOCK_TEXT_SIZE];
    if (certificate != NULL)
        clock_format(certificate_not_after(certificate) * 1000, not_after);
    buffer_append_text(out, ",\"not_after\":");
    json_append_text(out, certificate != NULL ? not_after : NULL);
    buffer_printf(out, ",\"state\":\"%s\",\"reason\":", certificate_state_name(row->state));
    json_append_text(out, row->why);
    buffer_append_text(out, "}");
}

static void print_certificates(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "\"certificates\":[");
    for (size_t i = 0; i < page->certificates.count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        print_certificate(&page->certificates.list[i], out);
    }
    buffer_append_text(out, "]");
}

static void print_config(const struct status_page *page, struct buffer *out)
{
    const struct load_record *record = page->loads;
    char when[CLOCK_TEXT_SIZE];
    clock_format(record->last_fine_s * 1000, when);
    buffer_printf(out, "\"config\":{\"generation\":%" PRIu64 ",\"last_reload_successful\":%s",
                  generation(page), record->last_is_fine ? "true" : "false");
    buffer_append_text(out, ",\"last_success\":");
    json_append_text(out, record->last_fine_s != 0 ? when : NULL);
    buffer_append_text(out, ",\"last_refusal\":");
    json_append_text(out, record->last_is_fine ? NULL : record->last_refusal);
    buffer_append_text(out, ",\"reloads\":{");
    for (int i = 0; i < LOAD_RESULTS; i++)
        buffer_printf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                      load_result_name((enum load_result)i), record->counts[i]);
    buffer_printf(out, "},\"certificates_read\":%zu,\"certificates_parsed\":%zu}",
                  page->last_read.read, page->last_read.parsed);
}

void status_print_json(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "{\"version\":");
    json_append_text(out, SALLYPORT_VERSION);
    buffer_printf(out,
                  ",\"generation\":%" PRIu64 ",\"state\":\"%s\",\"uptime_s\":%" PRIu64
                  ",\"workers\":%u,",
                  generation(page), control_state_name(page->control->state), uptime_s(page),
                  page->worker_count);
    print_config(page, out);
    buffer_append_text(out, ",");
    print_listeners(page, out);
    buffer_append_text(out, ",");
    print_metrics(page, out);
    buffer_append_text(out, ",");
    print_backends(page, out);
    buffer_append_text(out, ",");
    cache_print_json(page, out);
    buffer_append_text(out, ",");
    print_certificates(page, out);
    buffer_append_text(out, "}\n");
}

/* --- text --------------------------------------------------------------------------------------
 */

static void print_listening_lines(const struct status_page *page, struct buffer *out)
{
    static const char *const kinds[] = {
        [LISTEN_HTTPS] = "https", [LISTEN_HTTP] = "http", [LISTEN_STATUS] = "status"};
    const struct listeners *listeners = page->control->listeners;
    const char *admin = endpoints_admin_address(page->control->endpoints);
    for (unsigned i = 0; i < listeners_count(listeners); i++) {
        const struct open_listen *open = listeners_at(listeners, i);
        char text[ADDRESS_TEXT_SIZE];
        address_format(&open->address, text);
        if (open->place == 0)
            buffer_printf(out, "  %-8s %s\n", kinds[open->kind], text);
    }
    if (admin != NULL)
        buffer_printf(out, "  %-8s %s\n", "admin", admin);
}

/* "; down since 2026-01-31T23:59:59Z: status 503". */
static void print_check_words(const struct status_server *server, struct buffer *out)
{
    const struct health *health = &server->checked.health;
    char since[CLOCK_TEXT_SIZE], reason[HEALTH_REASON_SIZE];
    if (!server->is_checked)
        return;
    clock_format(server->checked.since_ms, since);
    buffer_printf(out, "; checks: %s since %.19sZ", check_verdict_name(health->verdict), since);
    health_reason(health->bad, reason);
    if (health->bad.result != HEALTH_GOOD)
        buffer_printf(out, "%s%s", health->is_good ? ", last failure: " : ": ", reason);
}

static void print_backend_line(const struct status_backend *backend, struct buffer *out)
{
    const struct upstream_spec *spec = backend->spec;
    buffer_printf(out, "  %.*s", (int)backend->name.len, backend->name.at);
    if (spec->max_requests != 0)
        buffer_printf(out, ", %u requests in flight of %u", backend->requests, spec->max_requests);
    if (spec->hold.for_ms != 0)
        buffer_printf(out, ", %u held of %u", backend->held, spec->hold.queue);
    if (spec->max_connections != 0)
        buffer_printf(out, ", %u connections a server at most", spec->max_connections);
    buffer_append_text(out, "\n");
}

static void print_backend_lines(const struct status_page *page, struct buffer *out)
{
    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        print_backend_line(backend, out);
        for (unsigned k = 0; k < backend->server_count; k++) {
            const struct status_server *server = &backend->servers[k];
            buffer_printf(out,
                          "    %-30.*s %-7s weight %u%s, %u busy, %u idle, %" PRIu64
                          " requests, %" PRIu64 " failed connects",
                          (int)server->name.len, server->name.at, server_state(server),
                          server->weight, server->is_backup ? " (backup)" : "", server->busy,
                          server->idle, server->requests, server->connect_failures);
            print_check_words(server, out);
            buffer_append_text(out, "\n");
        }
    }
}

static void print_certificate_lines(const struct status_page *page, struct buffer *out)
{
    for (size_t i = 0; i < page->certificates.count; i++) {
        const struct certificate_row *row = &page->certificates.list[i];
        const struct certificate *certificate = row->certificate;
        const struct slice *names;
        int count = certificate != NULL ? certificate_names(certificate, &names) : 0;
        char not_after[CLOCK_TEXT_SIZE];
        buffer_append_text(out, "  ");
        for (int k = 0; k < count; k++) {
            buffer_append_text(out, k > 0 ? ", " : "");
            terminal_append(out, names[k]);
        }
        buffer_append_text(out, count > 0 ? "\n    " : "");
        if (certificate != NULL) {
            clock_format(certificate_not_after(certificate) * 1000, not_after);
            buffer_printf(out, "%s, %s, until %.10s, ", cert_key_name(certificate_key(certificate)),
                          certificate_state_name(row->state), not_after);
        } else {
            buffer_printf(out, "%s, ", certificate_state_name(row->state));
        }
        terminal_append_text(out, row->file);
        buffer_append_text(out, "\n");
        if (row->why != NULL) {
            buffer_append_text(out, "    ");
            terminal_append_text(out, row->why);
            buffer_append_text(out, "\n");
        }
    }
}

static void print_config_line(const struct status_page *page, struct buffer *out)
{
    const struct load_record *record = page->loads;
    if (!record->last_is_fine)
        buffer_printf(out, "the last reload was refused: %s\n", record->last_refusal);
}

void status_print_text(const struct status_page *page, struct buffer *out)
{
    const uint64_t *metrics = page->metrics;
    uint64_t up = uptime_s(page);
    buffer_printf(out,
                  "sallyport %s: generation %" PRIu64 ", %s, %u workers, up %" PRIu64 "d %02" PRIu64
                  ":%02" PRIu64 ":%02" PRIu64 "\n",
                  SALLYPORT_VERSION, generation(page), control_state_name(page->control->state),
                  page->worker_count, up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
    print_config_line(page, out);
    buffer_append_text(out, "\nlistening\n");
    print_listening_lines(page, out);
    buffer_printf(out,
                  "\nconnections\n  %" PRIu64 " open, %" PRIu64 " handshaking, %" PRIu64
                  " idle, %" PRIu64 " refused\n\nrequests\n  %" PRIu64
                  " ended or under way: %" PRIu64 " in flight, "
                  "%" PRIu64 " answered 2xx, %" PRIu64 " 3xx, %" PRIu64 " 4xx, %" PRIu64 " 5xx\n",
                  metrics[METRIC_CONNECTIONS_OPEN], metrics[METRIC_CONNECTIONS_HANDSHAKING],
                  metrics[METRIC_CONNECTIONS_IDLE], refused(page), metrics[METRIC_REQUESTS],
                  metrics[METRIC_REQUESTS_IN_FLIGHT], metrics[METRIC_RESPONSES_2XX],
                  metrics[METRIC_RESPONSES_3XX], metrics[METRIC_RESPONSES_4XX],
                  metrics[METRIC_RESPONSES_5XX]);
    if (page->log_lost > 0)
        buffer_printf(out, "  %" PRIu64 " lines of the access log were lost\n", page->log_lost);
    buffer_append_text(out, "\nbackends\n");
    print_backend_lines(page, out);
    cache_print_text(page, out);
    buffer_append_text(out, "\ncertificates\n");
    print_certificate_lines(page, out);
}
