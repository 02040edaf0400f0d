/* Changes in words, and in JSON: for `diff`, and for what `reload` answers. */
#include "config/diff.h"

#include "base/json_text.h"
#include "base/terminal.h"

enum { NAMES_MOST = 3 };

static void append(struct buffer *out, struct slice text)
{
    terminal_append(out, text);
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
        if (change->name.len == 0)
            print_reach(change, "hosts", out);
        return;
    case ABOUT_BACKEND:
    case ABOUT_FILE:
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
    if (change->about == ABOUT_CERTIFICATE && change->name.len > 0 && change->reach_count > 0) {
        buffer_append_text(out, "; no other one answers for ");
        print_reach(change, "hosts", out);
    }
    buffer_printf(out, "%s\n", in_colour ? "\033[0m" : "");
}

void diff_print_changes(const struct diff *diff, struct buffer *out, bool in_colour)
{
    for (size_t i = 0; i < diff->count; i++)
        print_change(&diff->list[i], out, in_colour);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

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
    json_append_member(out, "name", change->name);
    json_append_member(out, "key", change->key);
    json_append_member(out, "was", change->was);
    json_append_member(out, "is", change->is);
    if (has_reach)
        print_reach_json(change, out);
    buffer_append_text(out, "}");
}

void diff_print_changes_json(const struct diff *diff, struct buffer *out)
{
    buffer_append_text(out, "[");
    for (size_t i = 0; i < diff->count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        print_change_json(&diff->list[i], out);
    }
    buffer_append_text(out, "]");
}
