#include "cli/diff_print.h"

#include "base/json_text.h"
#include "base/terminal.h"

enum { EXAMPLES_MOST = 5 };

static void append(struct buffer *out, struct slice text)
{
    terminal_append(out, text);
}

/* --- text --------------------------------------------------------------------------------------
 */

static void print_example(const struct answered_differently *one, struct buffer *out)
{
    buffer_append_text(out, "  ");
    append(out, one->request);
    if (one->count > 1)
        buffer_printf(out, " (%llu times)", (unsigned long long)one->count);
    buffer_append_text(out, ": ");
    append(out, one->was);
    buffer_append_text(out, " -> ");
    append(out, one->is);
    buffer_append_text(out, "\n");
}

static void print_replay(const struct replay_result *replay, struct buffer *out)
{
    unsigned long long requests = replay->requests, different = replay->different;
    if (different == 0)
        buffer_printf(out, "none of the %llu most recent requests would be answered differently\n",
                      requests);
    else
        buffer_printf(out, "%llu of the %llu most recent requests would be answered differently:\n",
                      different, requests);
    for (size_t i = 0; i < replay->count && i < EXAMPLES_MOST; i++)
        print_example(&replay->list[i], out);
    if (replay->count > EXAMPLES_MOST)
        buffer_printf(out, "  and %zu more; --json has them all\n", replay->count - EXAMPLES_MOST);
    if (replay->certificates > 0)
        buffer_printf(out, "%llu of the %llu would get another certificate, or none\n",
                      (unsigned long long)replay->certificates, requests);
    if (replay->left_out > 0)
        buffer_printf(out, "%llu requests were too long to be remembered\n",
                      (unsigned long long)replay->left_out);
}

void diff_print_text(const struct diff_report *report, struct buffer *out, bool in_colour)
{
    if (report->generation > 0)
        buffer_printf(out, "from generation %llu, which runs (%s), to %s\n",
                      (unsigned long long)report->generation, report->old_file, report->new_file);
    else
        buffer_printf(out, "from %s to %s\n", report->old_file, report->new_file);
    diff_print_changes(report->diff, out, in_colour);
    if (report->diff->count == 0)
        buffer_append_text(out, "nothing would change\n");
    if (report->replay != NULL && report->replay->requests > 0)
        print_replay(report->replay, out);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void print_replay_json(const struct replay_result *replay, struct buffer *out)
{
    buffer_printf(out,
                  "{\"seen\":%llu,\"left_out\":%llu,\"different\":%llu,\"certificates\":%llu,"
                  "\"examples\":[",
                  (unsigned long long)replay->requests, (unsigned long long)replay->left_out,
                  (unsigned long long)replay->different, (unsigned long long)replay->certificates);
    for (size_t i = 0; i < replay->count; i++) {
        const struct answered_differently *one = &replay->list[i];
        buffer_printf(out, "%s{\"count\":%llu", i > 0 ? "," : "", (unsigned long long)one->count);
        json_append_member(out, "request", one->request);
        json_append_member(out, "was", one->was);
        json_append_member(out, "is", one->is);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}");
}

void diff_print_json(const struct diff_report *report, struct buffer *out)
{
    buffer_printf(out, "{\"old\":{\"from\":\"%s\",\"generation\":",
                  report->generation > 0 ? "running" : "file");
    if (report->generation > 0)
        buffer_printf(out, "%llu", (unsigned long long)report->generation);
    else
        buffer_append_text(out, "null");
    buffer_append_text(out, ",\"file\":");
    json_append_text(out, report->old_file);
    buffer_append_text(out, "},\"new\":{\"file\":");
    json_append_text(out, report->new_file);
    buffer_append_text(out, "},\"changes\":");
    diff_print_changes_json(report->diff, out);
    buffer_append_text(out, ",\"requests\":");
    if (report->replay != NULL)
        print_replay_json(report->replay, out);
    else
        buffer_append_text(out, "null");
    buffer_append_text(out, "}\n");
}
