#include "base/clock.h"
#include "base/json_text.h"
#include "control/endpoints.h"
#include "control/status_page.h"
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

static size_t certificate_count(const struct status_page *page)
{
    if (page->snapshot == NULL || page->snapshot->tls == NULL)
        return 0;
    return cert_store_count(tls_server_certs(page->snapshot->tls));
}

static const struct certificate *certificate_at(const struct status_page *page, size_t index)
{
    return cert_store_at(tls_server_certs(page->snapshot->tls), index);
}

static const char *certificate_state(const struct certificate *certificate)
{
    return certificate_not_after(certificate) < clock_wall_ms() / 1000 ? "expired" : "serving";
}

static const char *server_state(const struct status_server *server)
{
    return server->skipped_by > 0 ? "skipped" : "up";
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

static void print_metrics(const struct status_page *page, struct buffer *out)
{
    const uint64_t *metrics = page->metrics;
    buffer_printf(out,
                  "\"connections\":{\"open\":%" PRIu64 ",\"handshaking\":%" PRIu64
                  ",\"idle\":%" PRIu64 "},\"requests\":%" PRIu64 ",\"metrics\":{",
                  metrics[METRIC_CONNECTIONS_OPEN], metrics[METRIC_CONNECTIONS_HANDSHAKING],
                  metrics[METRIC_CONNECTIONS_IDLE], metrics[METRIC_REQUESTS]);
    for (int i = 0; i < METRIC_COUNT; i++)
        buffer_printf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", metric_name((enum metric)i),
                      i == METRIC_LOG_DROPPED ? page->log_lost : metrics[i]);
    buffer_append_text(out, "}");
}

static void print_backends(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "\"backends\":[");
    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        buffer_append_text(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_append_string(out, backend->name);
        buffer_append_text(out, ",\"servers\":[");
        for (unsigned k = 0; k < backend->server_count; k++) {
            const struct status_server *server = &backend->servers[k];
            buffer_append_text(out, k > 0 ? ",{\"name\":" : "{\"name\":");
            json_append_string(out, server->name);
            buffer_printf(out,
                          ",\"state\":\"%s\",\"weight\":%u,\"backup\":%s,\"idle\":%u,\"busy\":%u,"
                          "\"requests\":%" PRIu64 ",\"connect_failures\":%" PRIu64 "}",
                          server_state(server), server->weight,
                          server->is_backup ? "true" : "false", server->idle, server->busy,
                          server->requests, server->connect_failures);
        }
        buffer_append_text(out, "]}");
    }
    buffer_append_text(out, "]");
}

static void print_certificates(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "\"certificates\":[");
    for (size_t i = 0; i < certificate_count(page); i++) {
        const struct certificate *certificate = certificate_at(page, i);
        const struct slice *names;
        int count = certificate_names(certificate, &names);
        buffer_append_text(out, i > 0 ? ",{\"names\":[" : "{\"names\":[");
        for (int k = 0; k < count; k++) {
            buffer_append_text(out, k > 0 ? "," : "");
            json_append_string(out, names[k]);
        }
        char not_after[CLOCK_TEXT_SIZE];
        clock_format(certificate_not_after(certificate) * 1000, not_after);
        buffer_append_text(out, "],\"key\":");
        json_append_text(out, cert_key_name(certificate_key(certificate)));
        buffer_append_text(out, ",\"file\":");
        json_append_text(out, certificate_file(certificate));
        buffer_printf(out, ",\"not_after\":\"%s\",\"state\":\"%s\"}", not_after,
                      certificate_state(certificate));
    }
    buffer_append_text(out, "]");
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
    print_listeners(page, out);
    buffer_append_text(out, ",");
    print_metrics(page, out);
    buffer_append_text(out, ",");
    print_backends(page, out);
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

static void print_backend_lines(const struct status_page *page, struct buffer *out)
{
    for (unsigned i = 0; i < page->backend_count; i++) {
        const struct status_backend *backend = &page->backends[i];
        buffer_printf(out, "  %.*s\n", (int)backend->name.len, backend->name.at);
        for (unsigned k = 0; k < backend->server_count; k++) {
            const struct status_server *server = &backend->servers[k];
            buffer_printf(out,
                          "    %-30.*s %-7s weight %u%s, %u busy, %u idle, %" PRIu64
                          " requests, %" PRIu64 " failed connects\n",
                          (int)server->name.len, server->name.at, server_state(server),
                          server->weight, server->is_backup ? " (backup)" : "", server->busy,
                          server->idle, server->requests, server->connect_failures);
        }
    }
}

static void print_certificate_lines(const struct status_page *page, struct buffer *out)
{
    for (size_t i = 0; i < certificate_count(page); i++) {
        const struct certificate *certificate = certificate_at(page, i);
        const struct slice *names;
        int count = certificate_names(certificate, &names);
        char not_after[CLOCK_TEXT_SIZE];
        clock_format(certificate_not_after(certificate) * 1000, not_after);
        buffer_append_text(out, "  ");
        for (int k = 0; k < count; k++)
            buffer_printf(out, "%s%.*s", k > 0 ? ", " : "", (int)names[k].len, names[k].at);
        buffer_printf(out, "\n    %s, %s, until %.10s, %s\n",
                      cert_key_name(certificate_key(certificate)), certificate_state(certificate),
                      not_after, certificate_file(certificate));
    }
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
    buffer_append_text(out, "\nlistening\n");
    print_listening_lines(page, out);
    buffer_printf(out,
                  "\nconnections\n  %" PRIu64 " open, %" PRIu64 " handshaking, %" PRIu64
                  " idle\n\nrequests\n  %" PRIu64 " ended or under way: %" PRIu64 " in flight, "
                  "%" PRIu64 " answered 2xx, %" PRIu64 " 3xx, %" PRIu64 " 4xx, %" PRIu64 " 5xx\n",
                  metrics[METRIC_CONNECTIONS_OPEN], metrics[METRIC_CONNECTIONS_HANDSHAKING],
                  metrics[METRIC_CONNECTIONS_IDLE], metrics[METRIC_REQUESTS],
                  metrics[METRIC_REQUESTS_IN_FLIGHT], metrics[METRIC_RESPONSES_2XX],
                  metrics[METRIC_RESPONSES_3XX], metrics[METRIC_RESPONSES_4XX],
                  metrics[METRIC_RESPONSES_5XX]);
    if (page->log_lost > 0)
        buffer_printf(out, "  %" PRIu64 " lines of the access log were lost\n", page->log_lost);
    buffer_append_text(out, "\nbackends\n");
    print_backend_lines(page, out);
    buffer_append_text(out, "\ncertificates\n");
    print_certificate_lines(page, out);
}
