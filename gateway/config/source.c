#include "config/source.h"

#include "base/check.h"
#include "base/json_text.h"

#include <stdlib.h>

/* A "${" that came out of the expansion is literal: it is written so that the next one leaves it
 * alone. */
static void write_string(struct buffer *out, struct slice text)
{
    struct buffer escaped = {0};

    if (!memmem(text.at, text.len, "${", 2)) {
        json_append_string(out, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (slice_starts_with(slice_skip(text, i), slice_of("${")))
            buffer_append_text(&escaped, "$");
        buffer_append(&escaped, slice_make(text.at + i, 1));
    }
    json_append_string(out, buffer_content(&escaped));
    buffer_clear(&escaped);
}

static void write_scalar(struct buffer *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    assert(text); /* it was parsed from one */
    buffer_append_text(out, text);
    free(text);
}

static void write_node(struct buffer *out, const struct json_node *node);

static void write_children(struct buffer *out, const struct json_node *node)
{
    const char *separator = "";

    for (const struct json_node *child = node->first; child; child = child->next) {
        buffer_append_text(out, separator);
        if (child->key.at) {
            json_append_string(out, child->key);
            buffer_append_text(out, ":");
        }
        write_node(out, child);
        separator = ",";
    }
}

static void write_node(struct buffer *out, const struct json_node *node)
{
    if (json_is_string(node->value)) {
        write_string(out,
                     slice_make(json_string_value(node->value), json_string_length(node->value)));
    } else if (json_is_object(node->value)) {
        buffer_append_text(out, "{");
        write_children(out, node);
        buffer_append_text(out, "}");
    } else if (json_is_array(node->value)) {
        buffer_append_text(out, "[");
        write_children(out, node);
        buffer_append_text(out, "]");
    } else {
        write_scalar(out, node->value);
    }
}

struct slice source_write(struct arena *arena, const struct json_node *root)
{
    struct buffer out = {0};
    struct slice text;

    write_node(&out, root);
    text = arena_copy(arena, buffer_content(&out));
    buffer_clear(&out);
    return text;
}
