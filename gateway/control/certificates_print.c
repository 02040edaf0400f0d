/* What `certs` prints. */
#include "base/clock.h"
#include "base/json_text.h"
#include "base/table.h"
#include "base/terminal.h"
#include "control/certificates.h"

#include <inttypes.h>

/* A host of the route file, in the list of the certificate that answers for it. */
struct answered_host {
    struct slice key;
    const struct certificate *successor; /* answers when that one is out of date; NULL: none */
    struct answered_host *next;
};

struct report {
    const struct snapshot *snapshot;
    struct arena arena;
    struct certificate_rows rows;
    struct answered_host **hosts; /* by row: in the order of the route file */
    int64_t now_s;
    bool as_text;
    struct buffer *out;
};

/* --- who answers for whom ------------------------------------------------------------------------
 */

static struct answered_host **end_of(struct answered_host **list)
{
    while (*list != NULL)
        list = &(*list)->next;
    return list;
}

static size_t row_of(const struct table *by_file, const struct certificate *certificate)
{
    return (size_t)(uintptr_t)table_get(by_file, slice_of(certificate_file(certificate))) - 1;
}

/* Appending walks no list: `ends` knows where each one ends. */
static void list_hosts(struct report *report)
{
    const struct config *config = report->snapshot->config;
    const struct cert_store *store = tls_server_certs(report->snapshot->tls);
    struct answered_host ***ends =
        arena_alloc(&report->arena, (report->rows.count + 1) * sizeof(*ends));
    struct table by_file;

    table_init(&by_file);
    for (size_t i = 0; i < report->rows.count; i++) {
        ends[i] = end_of(&report->hosts[i]);
        if (report->rows.list[i].certificate != NULL)
            table_put(&by_file, slice_of(report->rows.list[i].file), (void *)(uintptr_t)(i + 1));
    }
    for (unsigned i = 0; i < config->named_host_count; i++) {
        struct slice name = config->named_hosts[i].name;
        struct cert_wish wish = cert_wish_of_everything(name, report->now_s);
        bool is_covered;
        const struct certificate *found = cert_store_choose(store, &wish, &is_covered);
        if (found == NULL)
            continue;
        struct answered_host *host = arena_alloc(&report->arena, sizeof(*host));
        size_t row = row_of(&by_file, found);
        *host = (struct answered_host){.key = name,
                                       .successor = cert_store_successor(store, name, found)};
        *ends[row] = host;
        ends[row] = &host->next;
    }
    table_clear(&by_file);
}

/* --- printing ------------------------------------------------------------------------------------
 */

static int64_t days_left(const struct report *report, const struct certificate *certificate)
{
    int64_t left_s = certificate_not_after(certificate) - report->now_s;

    return left_s >= 0 ? left_s / 86400 : -((-left_s + 86399) / 86400);
}

static void print_time(struct buffer *out, int64_t seconds)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(seconds * 1000, text);
    json_append_text(out, text);
}

static void print_hosts_json(struct buffer *out, const struct answered_host *host)
{
    buffer_append_text(out, ",\"hosts\":[");
    for (const char *separator = ""; host != NULL; host = host->next, separator = ",") {
        buffer_append_text(out, separator);
        buffer_append_text(out, "{\"host\":");
        json_append_string(out, host->key);
        buffer_append_text(out, ",\"covered_by\":");
        json_append_text(out, host->successor != NULL ? certificate_file(host->successor) : NULL);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

/* The keys stay where nothing is served. */
static void print_dates_json(const struct report *report, const struct certificate *certificate)
{
    struct buffer *out = report->out;

    if (certificate == NULL) {
        buffer_append_text(out, ",\"not_before\":null,\"not_after\":null,\"days_left\":null");
        return;
    }
    buffer_append_text(out, ",\"not_before\":");
    print_time(out, certificate_not_before(certificate));
    buffer_append_text(out, ",\"not_after\":");
    print_time(out, certificate_not_after(certificate));
    buffer_printf(out, ",\"days_left\":%" PRId64, days_left(report, certificate));
}

static void print_row_json(const struct report *report, const struct certificate_row *row,
                           const struct answered_host *hosts)
{
    struct buffer *out = report->out;
    const struct certificate *certificate = row->certificate;
    const struct slice *names;
    int count = certificate != NULL ? certificate_names(certificate, &names) : 0;

    buffer_append_text(out, "{\"names\":[");
    for (int i = 0; i < count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        json_append_string(out, names[i]);
    }
    buffer_append_text(out, "],\"file\":");
    json_append_text(out, row->file);
    buffer_append_text(out, ",\"key\":");
    json_append_text(out, certificate ? cert_key_name(certificate_key(certificate)) : NULL);
    print_dates_json(report, certificate);
    buffer_printf(out, ",\"state\":\"%s\",\"reason\":", certificate_state_name(row->state));
    json_append_text(out, row->why);
    buffer_append_text(out, ",\"since\":");
    if (row->why != NULL)
        print_time(out, row->since);
    else
        buffer_append_text(out, "null");
    print_hosts_json(out, hosts);
    buffer_append_text(out, "}");
}

static void print_hosts_text(struct buffer *out, const struct answered_host *host)
{
    for (; host != NULL; host = host->next) {
        buffer_printf(out, "    %.*s: ", (int)host->key.len, host->key.at);
        if (host->successor != NULL)
            buffer_printf(out, "%s goes on after it\n", certificate_file(host->successor));
        else
            buffer_append_text(out, "goes dark with it, no other certificate lasts longer\n");
    }
}

static void print_row_text(const struct report *report, const struct certificate_row *row,
                           const struct answered_host *hosts)
{
    struct buffer *out = report->out;
    const struct certificate *certificate = row->certificate;
    const struct slice *names;
    int count = certificate != NULL ? certificate_names(certificate, &names) : 0;

    for (int i = 0; i < count; i++) {
        buffer_append_text(out, i > 0 ? ", " : "");
        terminal_append(out, names[i]);
    }
    buffer_append_text(out, count > 0 ? "\n  " : "  ");
    terminal_append_text(out, row->file);
    buffer_printf(out, ": %s", certificate_state_name(row->state));
    if (certificate != NULL) {
        char until[CLOCK_TEXT_SIZE];
        clock_format(certificate_not_after(certificate) * 1000, until);
        buffer_printf(out, ", %s, until %.10s (%" PRId64 " days)",
                      cert_key_name(certificate_key(certificate)), until,
                      days_left(report, certificate));
    }
    buffer_append_text(out, "\n");
    if (row->why != NULL) {
        char since[CLOCK_TEXT_SIZE];
        clock_format(row->since * 1000, since);
        buffer_printf(out, "    since %.19s: ", since);
        terminal_append_text(out, row->why);
        buffer_printf(out, "; %s\n",
                      row->is_client_ca     ? "clients are held against what was read before"
                      : certificate != NULL ? "served as it was read before"
                                            : "not served");
    }
    print_hosts_text(out, hosts);
}

static bool is_wanted(const struct report *report, const struct certificate_row *row,
                      uint64_t within_s)
{
    if (within_s == 0 || row->state == CERTIFICATE_QUARANTINED)
        return true;
    int64_t left_s = certificate_not_after(row->certificate) - report->now_s;
    return left_s < 0 || (uint64_t)left_s < within_s;
}

static void print_rows(struct report *report, uint64_t within_s)
{
    const char *separator = "";

    for (size_t i = 0; i < report->rows.count; i++) {
        const struct certificate_row *row = &report->rows.list[i];
        if (!is_wanted(report, row, within_s))
            continue;
        if (report->as_text) {
            print_row_text(report, row, report->hosts[i]);
            continue;
        }
        buffer_append_text(report->out, separator);
        print_row_json(report, row, report->hosts[i]);
        separator = ",";
    }
}

void certificates_print(const struct snapshot *snapshot, const struct cert_problems *broken,
                        uint64_t within_s, bool as_text, struct buffer *out)
{
    struct report report = {
        .snapshot = snapshot, .now_s = clock_wall_ms() / 1000, .as_text = as_text, .out = out};

    certificates_list(&report.arena, snapshot, broken, &report.rows);
    report.hosts = arena_alloc(&report.arena, (report.rows.count + 1) * sizeof(*report.hosts));
    if (snapshot != NULL && snapshot->tls != NULL)
        list_hosts(&report);
    if (!as_text)
        buffer_printf(out, "{\"generation\":%" PRIu64 ",\"certificates\":[",
                      snapshot != NULL ? snapshot->generation : 0);
    print_rows(&report, within_s);
    if (!as_text)
        buffer_append_text(out, "]}\n");
    arena_clear(&report.arena);
}
