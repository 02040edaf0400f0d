#include "config/reader.h"

#include "config/suggest.h"
#include "config/tidy_path.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 6, 0))) static void
report(struct reader *reader, const struct json_node *node, enum mistake_place place,
       bool is_warning, const char *suggestion, const char *format, va_list arguments)
{
    bool at_key = place == AT_KEY && node->key.at;
    struct buffer path = {0};
    char message[1024];

    /* One mistake, one message: what follows from it is no news. */
    if (node->is_wrong)
        return;
    vsnprintf(message, sizeof(message), format, arguments);
    json_append_path(&path, node);
    buffer_append(&path, slice_make("", 1));
    problems_add(reader->problems, is_warning, reader->file, at_key ? node->key_line : node->line,
                 at_key ? node->key_column : node->column, buffer_content(&path).at, suggestion,
                 "%s", message);
    buffer_clear(&path);
}

struct text_place reader_place(struct reader *reader, const struct json_node *node,
                               enum mistake_place place)
{
    bool at_key = place == AT_KEY && node->key.at;
    struct buffer path = {0};
    struct text_place found = {.line = at_key ? node->key_line : node->line,
                               .column = at_key ? node->key_column : node->column};

    json_append_path(&path, node);
    found.path = arena_text(reader->arena, buffer_content(&path));
    buffer_clear(&path);
    return found;
}

void reader_error(struct reader *reader, const struct json_node *node, enum mistake_place place,
                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(reader, node, place, false, NULL, format, arguments);
    va_end(arguments);
}

void reader_error_suggest(struct reader *reader, const struct json_node *node,
                          enum mistake_place place, const char *suggestion, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(reader, node, place, false, suggestion, format, arguments);
    va_end(arguments);
}

void reader_warning(struct reader *reader, const struct json_node *node, enum mistake_place place,
                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(reader, node, place, true, NULL, format, arguments);
    va_end(arguments);
}

struct slice reader_node_text(const struct json_node *node)
{
    if (!json_is_string(node->value))
        return slice_make("", 0);
    return slice_make(json_string_value(node->value), json_string_length(node->value));
}

static bool fail_kind(struct reader *reader, const struct json_node *node, const char *what)
{
    reader_error(reader, node, AT_VALUE, "%s is expected, not %s", what,
                 json_kind_name(node->value));
    return false;
}

/* --- numbers with units -------------------------------------------------------------------------
 */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};
static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", 1 << 10},
    {"MiB", 1 << 20},
    {"GiB", 1 << 30},
};

/* Long enough for every purpose, short enough to be added to any clock. */
static const uint64_t longest_ms = UINT64_C(36500) * 24 * 3600 * 1000;

enum quantity { QUANTITY_GOOD, QUANTITY_BAD, QUANTITY_TOO_LARGE };

static enum quantity parse_quantity(struct slice text, const struct unit *units, size_t count,
                                    uint64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    for (size_t i = 0; digits > 0 && i < count; i++) {
        if (!slice_equal(slice_skip(text, digits), slice_of(units[i].name)))
            continue;
        if (!slice_parse_u64(slice_make(text.at, digits), &number) ||
            __builtin_mul_overflow(number, units[i].factor, value))
            return QUANTITY_TOO_LARGE;
        return QUANTITY_GOOD;
    }
    return QUANTITY_BAD;
}

bool reader_parse_duration(struct slice text, uint64_t *ms)
{
    return parse_quantity(text, time_units, 5, ms) == QUANTITY_GOOD && *ms <= longest_ms;
}

bool reader_duration(struct reader *reader, const struct json_node *node, uint64_t *ms)
{
    static const char *const expected = "a duration such as \"10s\", \"500ms\" or 0";
    struct slice text = reader_node_text(node);
    enum quantity quantity;

    if (json_is_integer(node->value) && json_integer_value(node->value) == 0) {
        *ms = 0;
        return true;
    }
    if (json_is_number(node->value)) {
        reader_error(reader, node, AT_VALUE,
                     "a duration needs a unit: an integer with ms, s, m, h or d, in quotes");
        return false;
    }
    if (!json_is_string(node->value))
        return fail_kind(reader, node, expected);
    quantity = parse_quantity(text, time_units, 5, ms);
    if (quantity == QUANTITY_BAD) {
        reader_error(reader, node, AT_VALUE,
                     "\"%s\" is no duration: an integer with ms, s, m, h or d is expected",
                     text.at);
        return false;
    }
    if (quantity == QUANTITY_TOO_LARGE || *ms > longest_ms) {
        reader_error(reader, node, AT_VALUE, "\"%s\" is too long: 36500d at most (0 is off)",
                     text.at);
        return false;
    }
    return true;
}

bool reader_size(struct reader *reader, const struct json_node *node, uint64_t most,
                 uint64_t *bytes)
{
    static const char *const expected = "a size such as \"64KiB\", a number of bytes, or 0";
    struct slice text = reader_node_text(node);
    enum quantity quantity = QUANTITY_GOOD;

    if (json_is_integer(node->value)) {
        quantity = json_integer_value(node->value) < 0 ? QUANTITY_BAD : QUANTITY_GOOD;
        *bytes = (uint64_t)json_integer_value(node->value);
    } else if (json_is_string(node->value)) {
        quantity = parse_quantity(text, size_units, 4, bytes);
    } else if (json_is_real(node->value)) {
        quantity = QUANTITY_BAD;
    } else {
        return fail_kind(reader, node, expected);
    }
    if (quantity == QUANTITY_BAD) {
        reader_error(reader, node, AT_VALUE,
                     "this is no size: an integer with B, KiB, MiB or GiB in quotes, or a number "
                     "of bytes, is expected");
        return false;
    }
    if (quantity == QUANTITY_TOO_LARGE || *bytes > most) {
        reader_error(reader, node, AT_VALUE, "too large: %llu bytes at most (0 is no limit)",
                     (unsigned long long)most);
        return false;
    }
    return true;
}

/* The unit of time keeps it apart from a size, so a bare number says nothing but 0. */
bool reader_rate(struct reader *reader, const struct json_node *node, uint64_t most,
                 uint64_t *bytes_a_second)
{
    static const struct slice a_second = {"/s", 2};
    struct slice text = reader_node_text(node);
    enum quantity quantity = QUANTITY_BAD;

    if (json_is_integer(node->value) && json_integer_value(node->value) == 0) {
        *bytes_a_second = 0;
        return true;
    }
    if (!json_is_string(node->value) && !json_is_number(node->value))
        return fail_kind(reader, node, "a rate such as \"1KiB/s\", or 0");
    if (slice_ends_with(text, a_second))
        quantity = parse_quantity(slice_make(text.at, text.len - a_second.len), size_units, 4,
                                  bytes_a_second);
    if (quantity == QUANTITY_BAD) {
        reader_error(reader, node, AT_VALUE,
                     "this is no rate: a size per second such as \"1KiB/s\", or 0, is expected");
        return false;
    }
    if (quantity == QUANTITY_TOO_LARGE || *bytes_a_second > most) {
        reader_error(reader, node, AT_VALUE,
                     "too large: %llu bytes a second at most (0 is no limit)",
                     (unsigned long long)most);
        return false;
    }
    return true;
}

bool reader_count(struct reader *reader, const struct json_node *node, uint64_t least,
                  uint64_t most, uint64_t *count)
{
    json_int_t value = json_integer_value(node->value);

    if (!json_is_number(node->value))
        return fail_kind(reader, node, "a whole number");
    if (!json_is_integer(node->value) || value < 0 || (uint64_t)value < least ||
        (uint64_t)value > most) {
        reader_error(reader, node, AT_VALUE, "a whole number from %llu to %llu is expected",
                     (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    *count = (uint64_t)value;
    return true;
}

bool reader_percent(struct reader *reader, const struct json_node *node, unsigned *percent)
{
    static const struct unit units[] = {{"%", 1}};
    uint64_t value;

    if (!json_is_string(node->value) && !json_is_number(node->value))
        return fail_kind(reader, node, "a percentage such as \"20%\"");
    if (parse_quantity(reader_node_text(node), units, 1, &value) != QUANTITY_GOOD || value > 100) {
        reader_error(reader, node, AT_VALUE,
                     "a whole percentage from \"0%%\" to \"100%%\" is expected, in quotes");
        return false;
    }
    *percent = (unsigned)value;
    return true;
}

/* --- the other types ----------------------------------------------------------------------------
 */

bool reader_bool(struct reader *reader, const struct json_node *node, bool *value)
{
    if (!json_is_boolean(node->value))
        return fail_kind(reader, node, "true or false");
    *value = json_is_true(node->value);
    return true;
}

bool reader_text(struct reader *reader, const struct json_node *node, const char *what,
                 struct slice *text)
{
    if (!json_is_string(node->value))
        return fail_kind(reader, node, what);
    text->len = reader_node_text(node).len;
    text->at = arena_text(reader->arena, reader_node_text(node));
    return true;
}

bool reader_path(struct reader *reader, const struct json_node *node, const char **path)
{
    struct slice text = reader_node_text(node);

    if (!json_is_string(node->value))
        return fail_kind(reader, node, "a path");
    if (slice_is_empty(text)) {
        reader_error(reader, node, AT_VALUE, "the path is empty");
        return false;
    }
    if (text.at[0] != '/')
        text = arena_printf(reader->arena, "%s/%s",
                            strcmp(reader->folder, "/") == 0 ? "" : reader->folder, text.at);
    *path = tidy_path(reader->arena, text).at;
    return true;
}

bool reader_word(struct reader *reader, const struct json_node *node, const char *const *words,
                 size_t count, unsigned *index)
{
    struct slice text = reader_node_text(node);
    struct suggestion near;
    struct buffer expected = {0};

    for (unsigned i = 0; json_is_string(node->value) && i < count; i++) {
        if (slice_equal(text, slice_of(words[i]))) {
            *index = i;
            return true;
        }
    }
    suggestion_init(&near, text);
    for (size_t i = 0; i < count; i++) {
        suggestion_consider(&near, slice_of(words[i]));
        buffer_printf(&expected, "%s\"%s\"", i == 0 ? "" : i + 1 < count ? ", " : " or ", words[i]);
    }
    buffer_append(&expected, slice_make("", 1));
    if (json_is_string(node->value))
        reader_error_suggest(reader, node, AT_VALUE, suggestion_text(&near),
                             "%s is expected, not \"%s\"", buffer_content(&expected).at, text.at);
    else
        fail_kind(reader, node, buffer_content(&expected).at);
    buffer_clear(&expected);
    return false;
}

bool reader_is_list(struct reader *reader, const struct json_node *node, const char *what)
{
    return json_is_array(node->value) || fail_kind(reader, node, what);
}

bool reader_is_object(struct reader *reader, const struct json_node *node)
{
    return json_is_object(node->value) || fail_kind(reader, node, "an object");
}

static bool read_network(struct reader *reader, const struct json_node *node,
                         struct network *network)
{
    struct error error = {""};
    struct slice text;

    if (!reader_text(reader, node, "an address or a block such as \"10.0.0.0/8\"", &text))
        return false;
    if (network_parse(text, network, &error))
        return true;
    reader_error(reader, node, AT_VALUE, "%s", error.message);
    return false;
}

void reader_networks(struct reader *reader, const struct json_node *node, struct network **networks,
                     unsigned *count)
{
    size_t most = 0;

    *count = 0;
    if (!reader_is_list(reader, node, "a list of blocks such as \"10.0.0.0/8\""))
        return;
    for (const struct json_node *element = node->first; element; element = element->next)
        most++;
    *networks = arena_alloc(reader->arena, (most + 1) * sizeof(**networks));
    for (const struct json_node *element = node->first; element; element = element->next)
        *count += read_network(reader, element, &(*networks)[*count]);
}

/* --- objects ------------------------------------------------------------------------------------
 */

static const struct rule *find_rule(const struct rules *rules, struct slice key)
{
    for (; rules; rules = rules->also)
        for (size_t i = 0; i < rules->count; i++)
            if (slice_equal(key, slice_of(rules->list[i].key)))
                return &rules->list[i];
    return NULL;
}

static bool may_stand(const struct rule *rule, unsigned here)
{
    return rule->places == 0 || (rule->places & here) != 0;
}

static void fail_unknown(struct reader *reader, const struct json_node *member,
                         const struct rules *rules, unsigned here)
{
    struct suggestion near;

    suggestion_init(&near, member->key);
    for (; rules; rules = rules->also)
        for (size_t i = 0; i < rules->count; i++)
            if (may_stand(&rules->list[i], here))
                suggestion_consider(&near, slice_of(rules->list[i].key));
    reader_error_suggest(reader, member, AT_KEY, suggestion_text(&near), "unknown key \"%s\"",
                         member->key.at);
}

static void fail_misplaced(struct reader *reader, const struct json_node *member, unsigned places)
{
    static const struct {
        unsigned place;
        const char *name;
    } names[] = {
        {IN_TOP, "the file's own \"tls\""},       {IN_DEFAULTS, "\"defaults\""},
        {IN_BACKEND, "an entry of \"backends\""}, {IN_HOST, "a host of \"routes\""},
        {IN_PATH, "an entry of \"paths\""},
    };
    char where[128] = "";
    unsigned left = places;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t used = strlen(where);
        if (!(places & names[i].place))
            continue;
        left &= ~names[i].place;
        snprintf(where + used, sizeof(where) - used, "%s%s",
                 !used  ? ""
                 : left ? ", "
                        : " or ",
                 names[i].name);
    }
    reader_error(reader, member, AT_KEY, "\"%s\" has no effect here: it belongs in %s",
                 member->key.at, where);
}

bool reader_object(struct reader *reader, const struct json_node *node, const struct rules *rules,
                   unsigned here, void *into)
{
    if (!reader_is_object(reader, node))
        return false;
    for (const struct json_node *member = node->first; member; member = member->next) {
        const struct rule *rule = find_rule(rules, member->key);

        if (!rule)
            fail_unknown(reader, member, rules, here);
        else if (!rule->read)
            reader_error(reader, member, AT_KEY, "\"%s\" is not supported yet", rule->key);
        else if (!may_stand(rule, here))
            fail_misplaced(reader, member, rule->places);
        else
            rule->read(reader, member, into);
    }
    return true;
}

bool reader_is_mistyped(const struct json_node *object, const char *key)
{
    struct suggestion near;

    for (const struct json_node *member = object->first; member; member = member->next) {
        suggestion_init(&near, member->key);
        suggestion_consider(&near, slice_of(key));
        if (suggestion_text(&near))
            return true;
    }
    return false;
}

void reader_missing(struct reader *reader, const struct json_node *object, const char *key,
                    const char *what)
{
    if (!reader_is_mistyped(object, key))
        reader_error(reader, object, AT_VALUE, "\"%s\" is missing: %s", key, what);
}

void reader_later(struct reader *reader, const struct json_node *node, void *into)
{
    (void)reader;
    (void)node;
    (void)into;
}
