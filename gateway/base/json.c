#include "base/json.h"

#include "base/check.h"
#include "base/json_scan.h"
#include "base/json_text.h"
#include "base/table.h"

#include <stdlib.h>

static bool is_comment(const char *key)
{
    return key[0] == '/' && key[1] == '/';
}

static void drop_comments(json_t *object)
{
    const char *key;
    json_t *member;
    void *after;

    json_object_foreach_safe (object, after, key, member)
        if (is_comment(key))
            json_object_del(object, key);
}

/* jansson has the last of several members with one key; the others are read once more. */
static json_t *read_hidden(struct json_document *document, const struct json_node *member)
{
    json_t *value = json_loadb(member->text.at, member->text.len, JSON_DECODE_ANY, NULL);

    if (!document->hidden)
        document->hidden = json_array();
    json_array_append_new(document->hidden, value);
    return value;
}

/* Gives every place its value: both trees have the same shape once comments are gone. */
static void join(struct json_document *document, struct json_node *node, json_t *value)
{
    assert(value);
    node->value = value;
    if (json_is_object(value))
        drop_comments(value);
    for (struct json_node *child = node->first; child; child = child->next) {
        if (child->is_repeated)
            join(document, child, read_hidden(document, child));
        else if (child->key.at)
            join(document, child, json_object_get(value, child->key.at));
        else
            join(document, child, json_array_get(value, child->index));
    }
}

bool json_document_read(struct json_document *document, struct slice text,
                        struct json_mistake *mistake)
{
    json_error_t error;

    *document = (struct json_document){0};
    document->root = json_scan(text, &document->arena, mistake);
    if (document->root) {
        document->value = json_loadb(text.at, text.len, JSON_DECODE_ANY, &error);
        /* What is left to jansson are numbers out of range. */
        if (!document->value) {
            mistake->line = (unsigned)error.line;
            mistake->column = error.column > 0 ? (unsigned)error.column : 1;
            slice_copy_text(slice_of(error.text), mistake->message, sizeof(mistake->message));
        }
    }
    if (!document->value) {
        json_document_clear(document);
        return false;
    }
    join(document, document->root, document->value);
    return true;
}

void json_document_clear(struct json_document *document)
{
    json_decref(document->value);
    json_decref(document->hidden);
    arena_clear(&document->arena);
    *document = (struct json_document){0};
}

struct json_node *json_member(const struct json_node *object, const char *key)
{
    struct slice wanted = slice_of(key);

    for (struct json_node *member = object->first; member; member = member->next)
        if (member->key.at && !member->is_repeated && slice_equal(member->key, wanted))
            return member;
    return NULL;
}

/* What can stand behind a dot. */
static bool is_plain_word(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return key.len > 0;
}

static void append_member(struct buffer *out, struct slice key, bool is_at_top)
{
    if (is_plain_word(key)) {
        buffer_printf(out, "%s%.*s", is_at_top ? "" : ".", (int)key.len, key.at);
    } else {
        buffer_append_text(out, "[");
        json_append_string(out, key);
        buffer_append_text(out, "]");
    }
}

void json_append_path(struct buffer *out, const struct json_node *node)
{
    if (!node->parent)
        return;
    json_append_path(out, node->parent);
    if (!node->key.at)
        buffer_printf(out, "[%u]", node->index);
    else
        append_member(out, node->key, !node->parent->parent);
}

void json_append_member_path(struct buffer *out, const char *top, struct slice key)
{
    append_member(out, slice_of(top), true);
    append_member(out, key, false);
}

uint64_t json_fingerprint(const json_t *value)
{
    char *text = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    assert(text); /* it was parsed from one */
    uint64_t hash = hash_bytes(slice_of(text));

    free(text);
    return hash;
}

const char *json_kind_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "nothing";
}
