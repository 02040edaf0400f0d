#include "config/rewrite.h"

#include "config/settings.h"
#include "http/target.h"

/* In the form in which requests are, without a slash at the end. */
static bool read_prefix(struct reader *reader, const struct json_node *node, struct slice *prefix)
{
    struct slice text, query;

    if (!reader_text(reader, node, "a path such as \"/api\"", &text))
        return false;
    if (!slice_starts_with(text, slice_of("/"))) {
        reader_error(reader, node, AT_VALUE, "a path starts with \"/\"");
        return false;
    }
    if (slice_find(text, '?') >= 0) {
        reader_error(reader, node, AT_VALUE, "a path has no \"?\": queries stay as they are");
        return false;
    }
    if (!path_normalise(reader->arena, text, prefix, &query)) {
        reader_error(reader, node, AT_VALUE,
                     "a request with this path is refused: no \".\" or \"..\" segments, controls, "
                     "\"\\\", \"#\" or bad escapes, and letters beyond ASCII are escaped");
        return false;
    }
    if (slice_ends_with(*prefix, slice_of("/")))
        prefix->len--;
    return true;
}

static void read_strip_prefix(struct reader *reader, const struct json_node *node, void *into)
{
    struct layer *layer = &((struct settings_reader *)into)->layer;

    if (read_prefix(reader, node, &layer->values.rewrite.strip_prefix))
        layer->from[SETTING_STRIP_PREFIX] = node;
}

static void read_add_prefix(struct reader *reader, const struct json_node *node, void *into)
{
    struct layer *layer = &((struct settings_reader *)into)->layer;

    if (read_prefix(reader, node, &layer->values.rewrite.add_prefix))
        layer->from[SETTING_ADD_PREFIX] = node;
}

static const struct rule rewrite_list[] = {
    {"strip_prefix", 0, read_strip_prefix},
    {"add_prefix", 0, read_add_prefix},
};
static const struct rules rewrite_rules = {rewrite_list, 2, NULL};

void rewrite_read(struct reader *reader, const struct json_node *node, void *into)
{
    reader_object(reader, node, &rewrite_rules, 0, into);
}
