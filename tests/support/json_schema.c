#include "support/json_schema.h"

#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

/* #/definitions/NAME */
static json_t *resolve(json_t *root, json_t *schema)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const char *prefix = "#/definitions/";

    if (!reference)
        return schema;
    cr_assert_eq(strncmp(reference, prefix, strlen(prefix)), 0, "%s", reference);
    json_t *found =
        json_object_get(json_object_get(root, "definitions"), reference + strlen(prefix));
    cr_assert(found, "no definition %s", reference);
    return resolve(root, found);
}

static bool matches(const char *pattern, const char *text)
{
    regex_t compiled;

    cr_assert_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0, "%s", pattern);
    bool is_match = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return is_match;
}

static bool has_type(const char *type, json_t *value)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool accepts(json_t *root, json_t *schema, json_t *value);

static size_t count_accepting(json_t *root, json_t *schemas, json_t *value)
{
    size_t index, count = 0;
    json_t *schema;

    json_array_foreach (schemas, index, schema)
        count += accepts(root, schema, value);
    return count;
}

static bool accepts_member(json_t *root, json_t *schema, const char *key, json_t *member)
{
    json_t *named = json_object_get(json_object_get(schema, "properties"), key), *by_pattern;
    json_t *others = json_object_get(schema, "additionalProperties");
    const char *pattern;

    json_object_foreach (json_object_get(schema, "patternProperties"), pattern, by_pattern)
        if (matches(pattern, key))
            return accepts(root, by_pattern, member);
    if (named)
        return accepts(root, named, member);
    return !others || (!json_is_false(others) && accepts(root, others, member));
}

static bool has_all(json_t *value, json_t *names)
{
    json_t *name;
    size_t index;

    json_array_foreach (names, index, name)
        if (!json_object_get(value, json_string_value(name)))
            return false;
    return true;
}

static bool accepts_object(json_t *root, json_t *schema, json_t *value)
{
    json_t *member, *names;
    json_int_t least = json_integer_value(json_object_get(schema, "minProperties"));
    const char *key;

    json_object_foreach (value, key, member)
        if (!accepts_member(root, schema, key, member))
            return false;
    json_object_foreach (json_object_get(schema, "dependencies"), key, names)
        if (json_object_get(value, key) && !has_all(value, names))
            return false;
    if (!has_all(value, json_object_get(schema, "required")))
        return false;
    return (json_int_t)json_object_size(value) >= least;
}

static bool accepts_list(json_t *root, json_t *schema, json_t *value)
{
    json_t *items = json_object_get(schema, "items"), *item;
    size_t index, least = (size_t)json_integer_value(json_object_get(schema, "minItems"));

    json_array_foreach (value, index, item)
        if (items && !accepts(root, items, item))
            return false;
    return json_array_size(value) >= least;
}

static bool is_listed(json_t *list, json_t *value)
{
    json_t *element;
    size_t index;

    json_array_foreach (list, index, element)
        if (json_equal(element, value))
            return true;
    return false;
}

static bool accepts_scalar(json_t *schema, json_t *value)
{
    json_t *least = json_object_get(schema, "minimum"), *most = json_object_get(schema, "maximum");
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    json_int_t shortest = json_integer_value(json_object_get(schema, "minLength"));

    if (json_is_integer(value) && least && json_integer_value(value) < json_integer_value(least))
        return false;
    if (json_is_integer(value) && most && json_integer_value(value) > json_integer_value(most))
        return false;
    if (json_is_string(value) && pattern && !matches(pattern, json_string_value(value)))
        return false;
    return !json_is_string(value) || (json_int_t)json_string_length(value) >= shortest;
}

static void check_keywords(json_t *schema)
{
    static const char *const known[] = {
        "$ref",       "$schema",   "title",         "description",       "type",
        "properties", "items",     "minItems",      "patternProperties", "additionalProperties",
        "required",   "minimum",   "minProperties", "maximum",           "anyOf",
        "oneOf",      "allOf",     "enum",          "default",           "examples",
        "pattern",    "minLength", "definitions",   "uniqueItems",       "dependencies"};
    const char *keyword;
    json_t *value;

    json_object_foreach (schema, keyword, value) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            is_known |= strcmp(known[i], keyword) == 0;
        cr_assert(is_known, "the keyword %s is not known to this test", keyword);
    }
}

static bool accepts(json_t *root, json_t *written, json_t *value)
{
    json_t *schema = resolve(root, written);
    const char *type = json_string_value(json_object_get(schema, "type"));
    json_t *any = json_object_get(schema, "anyOf"), *one = json_object_get(schema, "oneOf");
    json_t *all = json_object_get(schema, "allOf"), *list = json_object_get(schema, "enum");

    check_keywords(schema);
    if (type && !has_type(type, value))
        return false;
    if (any && count_accepting(root, any, value) == 0)
        return false;
    if (one && count_accepting(root, one, value) != 1)
        return false;
    if (all && count_accepting(root, all, value) != json_array_size(all))
        return false;
    if (list && !is_listed(list, value))
        return false;
    if (json_is_object(value))
        return accepts_object(root, schema, value);
    if (json_is_array(value))
        return accepts_list(root, schema, value);
    return accepts_scalar(schema, value);
}

bool json_schema_accepts(json_t *schema, json_t *value)
{
    return accepts(schema, schema, value);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

struct walk {
    json_t *root;
    void (*visit)(void *owner, const char *path);
    void *owner;
};

/* Returns whether any key is named below. */
static bool walk(const struct walk *w, json_t *written, const char *path)
{
    static const char *const choices[] = {"anyOf", "oneOf", "allOf"};
    json_t *schema = resolve(w->root, written), *member;
    json_t *others = json_object_get(schema, "additionalProperties");
    json_t *items = json_object_get(schema, "items");
    bool has_keys = false;
    char below[256];
    const char *key;
    size_t index;

    json_object_foreach (json_object_get(schema, "properties"), key, member) {
        snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key);
        if (!walk(w, member, below))
            w->visit(w->owner, below);
        has_keys = true;
    }
    json_object_foreach (json_object_get(schema, "patternProperties"), key, member) {
        if (strcmp(key, "^//") == 0)
            continue;
        snprintf(below, sizeof(below), "%s.*", path);
        has_keys |= walk(w, member, below);
    }
    if (json_is_object(others)) {
        snprintf(below, sizeof(below), "%s.*", path);
        has_keys |= walk(w, others, below);
    }
    if (items)
        has_keys |= walk(w, items, path);
    for (size_t i = 0; i < 3; i++)
        json_array_foreach (json_object_get(schema, choices[i]), index, member)
            has_keys |= walk(w, member, path);
    return has_keys;
}

void json_schema_each_leaf(json_t *schema, void (*visit)(void *owner, const char *path),
                           void *owner)
{
    struct walk w = {.root = schema, .visit = visit, .owner = owner};

    walk(&w, schema, "");
}
