#include "cli/diff_print.h"

#include "base/json_text.h"

enum { NAMES_MOST = 3, EXAMPLES_MOST = 5 };

static void append(struct buffer *out, struct slice text)
{
    buffer_append(out, text);
}

/* --- text --------------------------------------------------------------------------------------
 */

struct sign {
    const char *text, *colour;
};

static struct sign sign_of(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_ADDED: return (struct sign){"+", "\033[32m"};
    case CHANGE_REMOVED: return (struct sign){"-", "\033[31m"};
    case CHANGE_MOVED:
    case CHANGE_CHANGED: return (struct sign){"~", "\033[33m"};
    case CHANGE_MISSING: break;
    }
    return (struct sign){"!", "\033[31m"};
}

/* "a.test", "a.test and b.test", "12 hosts (a.test, b.test, c.test, ...)". */
static void print_reach(const struct change *change, const char *what, struct buffer *out)
{
    size_t count = change->reach_count;
    if (count <= NAMES_MOST) {
        for (size_t i = 0; i < count; i++) {
            buffer_append_text(out, i == 0 ? "" : i + 1 == count ? " and " : ", ");
            append(out, change->reach[i]);
        }
        return;
    }
    buffer_printf(out, "%zu %s (", count, what);
    for (size_t i = 0; i < NAMES_MOST; i++) {
        append(out, change->reach[i]);
        buffer_append_text(out, ", ");
    }
    buffer_append_text(out, "...)");
}

static void print_subject(const struct change *change, struct buffer *out)
{
    switch (change->about) {
    case ABOUT_GATEWAY: append(out, change->key); return;
    case ABOUT_SETTING:
        append(out, change->key);
        buffer_append_text(out, change->reach_count > 0 ? " of " : " where no route matches");
        print_reach(change, "routes", out);
        return;
    case ABOUT_CERTIFICATE:
        buffer_append_text(out, change->name.len > 0 ? "certificate file " : "certificate of ");
        append(out, change->name);
        print_reach(change, "hosts", out);
        return;
    case ABOUT_BACKEND:
    case ABOUT_HOST:
    case ABOUT_PATH: break;
    }
    buffer_printf(out, "%s ", change_about_name(change->about));
    append(out, change->name);
    if (change->key.len > 0)
        buffer_append_text(out, ", ");
    append(out, change->key);
}

static void print_change(const struct change *change, struct buffer *out, bool in_colour)
{
    struct sign sign = sign_of(change->kind);
    buffer_printf(out, "%s%s ", in_colour ? sign.colour : "", sign.text);
    print_subject(change, out);
    buffer_append_text(out, ": ");
    append(out, change->was);
    if (change->was.len > 0 && change->is.len > 0)
        buffer_append_text(out, " -> ");
    append(out, change->is);
    if (change->kind == CHANGE_MISSING)
        buffer_append_text(out, "none covers it");
    buffer_printf(out, "%s\n", in_colour ? "\033[0m" : "");
}

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
    for (size_t i = 0; i < report->diff->count; i++)
        print_change(&report->diff->list[i], out, in_colour);
    if (report->diff->count == 0)
        buffer_append_text(out, "nothing would change\n");
    if (report->replay != NULL && report->replay->requests > 0)
        print_replay(report->replay, out);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void print_member(struct buffer *out, const char *key, struct slice text)
{
    buffer_printf(out, ",\"%s\":", key);
    if (text.len == 0)
        buffer_append_text(out, "null");
    else
        json_append_string(out, text);
}

static void print_reach_json(const struct change *change, struct buffer *out)
{
    buffer_append_text(out, change->about == ABOUT_SETTING ? ",\"routes\":[" : ",\"hosts\":[");
    for (size_t i = 0; i < change->reach_count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        json_append_string(out, change->reach[i]);
    }
    buffer_append_text(out, "]");
}

static void print_change_json(const struct change *change, struct buffer *out)
{
    bool has_reach = change->about == ABOUT_SETTING || change->about == ABOUT_CERTIFICATE;
    buffer_printf(out, "{\"change\":\"%s\",\"about\":\"%s\"", change_kind_name(change->kind),
                  change_about_name(change->about));
    print_member(out, "name", change->name);
    print_member(out, "key", change->key);
    print_member(out, "was", change->was);
    print_member(out, "is", change->is);
    if (has_reach)
        print_reach_json(change, out);
    buffer_append_text(out, "}");
}

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
        print_member(out, "request", one->request);
        print_member(out, "was", one->was);
        print_member(out, "is", one->is);
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
    buffer_append_text(out, "},\"changes\":[");
    for (size_t i = 0; i < report->diff->count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        print_change_json(&report->diff->list[i], out);
    }
    buffer_append_text(out, "],\"requests\":");
    if (report->replay != NULL)
        print_replay_json(report->replay, out);
    else
        buffer_append_text(out, "null");
    buffer_append_text(out, "}\n");
}
