/* What the reader asks of its surroundings: environment variables, mounts; and duplicate keys. */
#include "config/pinned.h"
#include "config/reader.h"

#include <stdlib.h>

static bool is_name_byte(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

/* The NAME of a text that starts with "${NAME}"; empty if it is not one. */
static struct slice variable_name(struct slice text)
{
    size_t end = 2;

    while (end < text.len && is_name_byte(text.at[end], end == 2))
        end++;
    if (end == text.len || text.at[end] != '}')
        return slice_make(NULL, 0);
    return slice_make(text.at + 2, end - 2);
}

/* Appends the value of the variable at the front of `text` and returns what lies behind it. */
static bool expand_variable(struct reader *reader, const struct json_node *node, struct slice *text,
                            struct buffer *out)
{
    struct slice name = variable_name(*text);
    char *terminated;
    const char *value;

    if (slice_is_empty(name)) {
        reader_error(reader, node, AT_VALUE,
                     "\"${\" starts the name of an environment variable, ${NAME}; a literal one "
                     "is written \"$${\"");
        return false;
    }
    terminated = slice_duplicate(name);
    value = getenv(terminated);
    if (!value)
        reader_error(reader, node, AT_VALUE, "the environment variable %s is not set", terminated);
    else
        buffer_append_text(out, value);
    free(terminated);
    *text = slice_skip(*text, name.len + 3);
    return value != NULL;
}

static void expand_text(struct reader *reader, struct json_node *node)
{
    struct slice text = reader_node_text(node);
    struct buffer out = {0};
    bool is_good = true;

    while (is_good && text.len > 0) {
        if (slice_starts_with(text, slice_of("$${"))) {
            is_good = buffer_append_text(&out, "${");
            text = slice_skip(text, 3);
        } else if (slice_starts_with(text, slice_of("${"))) {
            is_good = expand_variable(reader, node, &text, &out);
        } else {
            is_good = buffer_append(&out, slice_make(text.at, 1));
            text = slice_skip(text, 1);
        }
    }
    if (is_good && json_string_setn(node->value, buffer_length(&out) ? buffer_content(&out).at : "",
                                    buffer_length(&out)) != 0) {
        reader_error(reader, node, AT_VALUE,
                     "the environment variable in here holds bytes that are not UTF-8");
        is_good = false;
    }
    node->is_wrong = !is_good;
    buffer_clear(&out);
}

static void prepare(struct reader *reader, struct json_node *node)
{
    if (node->repeats_line)
        reader_error(reader, node, AT_KEY, "duplicate key: \"%s\" is on line %u already",
                     node->key.at, node->repeats_line);
    if (slice_find(reader_node_text(node), '$') >= 0)
        expand_text(reader, node);
    for (struct json_node *child = node->first; child; child = child->next)
        prepare(reader, child);
}

void reader_prepare(struct reader *reader, struct json_document *document)
{
    prepare(reader, document->root);
}

void problems_warn_if_pinned(struct problems *problems, const char *file, struct text_place place,
                             const char *path)
{
    switch (pinned_state(path)) {
    case PINNED_NOT: break;
    case PINNED_CURRENT:
        problems_add_at(problems, true, file, place,
                        "%s is mounted as a single file, so that a new version of it would not be "
                        "seen here: mount its folder",
                        path);
        break;
    case PINNED_STALE:
        problems_add_at(problems, true, file, place,
                        "%s was replaced where it comes from, but is mounted as a single file: the "
                        "old version is read here; mount its folder instead, and restart",
                        path);
        break;
    }
}
