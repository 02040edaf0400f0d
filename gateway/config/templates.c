#include "config/templates.h"

#include "config/suggest.h"

struct template_reader {
    struct reader *reader;
    const struct json_node *node;
    enum template_of of;
    struct template *template;
};

static void add_part(struct template_reader *t, enum placeholder placeholder, struct slice text)
{
    if (placeholder == PLACEHOLDER_NONE && text.len == 0)
        return;
    t->template->parts[t->template->part_count++] =
        (struct template_part){.placeholder = placeholder, .text = text};
}

/* "{scheme}, {host} and {path}". */
static struct slice list_known(struct template_reader *t)
{
    unsigned left = 0;
    struct slice text = slice_make("", 0);

    for (int i = 0; i < PLACEHOLDER_COUNT; i++)
        left += t->of >> i & 1;
    for (int i = 0; i < PLACEHOLDER_COUNT; i++)
        if (t->of >> i & 1)
            text = arena_printf(t->reader->arena, "%.*s%s{%s}", (int)text.len, text.at,
                                text.len == 0 ? ""
                                : --left == 1 ? " and "
                                              : ", ",
                                placeholder_name((enum placeholder)i));
    return text;
}

static bool add_placeholder(struct template_reader *t, struct slice name)
{
    struct suggestion near;
    struct slice known;

    suggestion_init(&near, name);
    for (int i = 0; i < PLACEHOLDER_COUNT; i++) {
        struct slice one = slice_of(placeholder_name((enum placeholder)i));
        if (!(t->of >> i & 1))
            continue;
        if (slice_equal(name, one)) {
            add_part(t, (enum placeholder)i, slice_make(NULL, 0));
            return true;
        }
        suggestion_consider(&near, one);
    }
    known = list_known(t);
    reader_error_suggest(t->reader, t->node, AT_VALUE, suggestion_text(&near),
                         "\"{%.*s}\" is no placeholder here: %.*s are; \"{{\" is a literal brace",
                         (int)name.len, name.at, (int)known.len, known.at);
    return false;
}

/* One before the first brace, and two for each. */
static size_t most_parts(struct slice text)
{
    size_t count = 1;

    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '{' ? 2 : 0;
    return count;
}

bool templates_read(struct reader *reader, const struct json_node *node, struct slice text,
                    enum template_of of, struct template *template)
{
    struct template_reader t = {reader, node, of, template};

    template->parts = arena_alloc(reader->arena, most_parts(text) * sizeof(*template->parts));
    template->part_count = 0;
    while (text.len > 0) {
        ptrdiff_t brace = slice_find(text, '{'), close;

        if (brace < 0) {
            add_part(&t, PLACEHOLDER_NONE, text);
            return true;
        }
        if ((size_t)brace + 1 < text.len && text.at[brace + 1] == '{') {
            add_part(&t, PLACEHOLDER_NONE, slice_make(text.at, (size_t)brace + 1));
            text = slice_skip(text, (size_t)brace + 2);
            continue;
        }
        add_part(&t, PLACEHOLDER_NONE, slice_make(text.at, (size_t)brace));
        text = slice_skip(text, (size_t)brace + 1);
        close = slice_find(text, '}');
        if (close < 0) {
            reader_error(reader, node, AT_VALUE,
                         "a \"{\" without its \"}\"; \"{{\" is a literal brace");
            return false;
        }
        if (!add_placeholder(&t, slice_make(text.at, (size_t)close)))
            return false;
        text = slice_skip(text, (size_t)close + 1);
    }
    return true;
}
