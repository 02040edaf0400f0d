#include "http/h2_priority.h"

const struct h2_priority h2_priority_usual = {.urgency = H2_URGENCY_USUAL};

/* --- characters ----------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_in_key(char c)
{
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

static bool is_in_token(char c)
{
    return c == ':' || c == '/' || http_is_token(slice_make(&c, 1));
}

static bool is_in_base64(char c)
{
    return is_letter(c) || is_digit(c) || c == '+' || c == '/' || c == '=';
}

/* '\0' at the end: a field value has none. */
static char next(struct slice rest)
{
    return rest.len > 0 ? rest.at[0] : '\0';
}

static void skip(struct slice *rest)
{
    *rest = slice_skip(*rest, 1);
}

static bool take(struct slice *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    skip(rest);
    return true;
}

static size_t take_all(struct slice *rest, bool (*is_one)(char c))
{
    size_t count = 0;

    while (count < rest->len && is_one(rest->at[count]))
        count++;
    *rest = slice_skip(*rest, count);
    return count;
}

static void skip_spaces(struct slice *rest)
{
    while (take(rest, ' '))
        continue;
}

static void skip_blanks(struct slice *rest)
{
    while (take(rest, ' ') || take(rest, '\t'))
        continue;
}

/* --- items (RFC 8941 section 4.2.3) ---------------------------------------------------------- */

enum kind { KIND_INTEGER, KIND_BOOLEAN, KIND_OTHER };

struct item {
    enum kind kind;
    int64_t number; /* KIND_INTEGER; KIND_BOOLEAN: 1 is true */
};

enum { INTEGER_DIGITS = 15, DECIMAL_DIGITS = 12, FRACTION_DIGITS = 3 };

static bool read_number(struct slice *rest, struct item *item)
{
    bool is_negative = take(rest, '-');
    struct slice digits = *rest;
    size_t count = take_all(rest, is_digit), fraction;

    if (count == 0 || count > INTEGER_DIGITS)
        return false;
    if (take(rest, '.')) {
        fraction = take_all(rest, is_digit);
        item->kind = KIND_OTHER;
        return count <= DECIMAL_DIGITS && fraction > 0 && fraction <= FRACTION_DIGITS;
    }
    item->kind = KIND_INTEGER;
    item->number = 0;
    for (size_t i = 0; i < count; i++)
        item->number = item->number * 10 + (digits.at[i] - '0');
    if (is_negative)
        item->number = -item->number;
    return true;
}

/* Behind its first quote. */
static bool read_string(struct slice *rest)
{
    while (rest->len > 0) {
        char c = next(*rest);

        skip(rest);
        if (c == '"')
            return true;
        if (c < ' ' || c > '~')
            return false;
        if (c == '\\' && !take(rest, '"') && !take(rest, '\\'))
            return false;
    }
    return false;
}

static bool read_bare_item(struct slice *rest, struct item *item)
{
    char c = next(*rest);

    item->kind = KIND_OTHER;
    if (c == '-' || is_digit(c))
        return read_number(rest, item);
    if (is_letter(c) || c == '*')
        return take_all(rest, is_in_token) > 0;
    if (take(rest, '"'))
        return read_string(rest);
    if (take(rest, ':')) {
        take_all(rest, is_in_base64);
        return take(rest, ':');
    }
    if (!take(rest, '?'))
        return false;
    item->kind = KIND_BOOLEAN;
    item->number = next(*rest) == '1';
    return take(rest, '0') || take(rest, '1');
}

static bool read_key(struct slice *rest, struct slice *key)
{
    *key = *rest;
    if (!is_lower(next(*rest)) && next(*rest) != '*')
        return false;
    key->len = take_all(rest, is_in_key);
    return true;
}

static bool skip_parameters(struct slice *rest)
{
    while (take(rest, ';')) {
        struct slice key;
        struct item item;

        skip_spaces(rest);
        if (!read_key(rest, &key) || (take(rest, '=') && !read_bare_item(rest, &item)))
            return false;
    }
    return true;
}

/* Behind its "(". */
static bool skip_inner_list(struct slice *rest)
{
    for (;;) {
        struct item item;

        skip_spaces(rest);
        if (take(rest, ')'))
            return true;
        if (!read_bare_item(rest, &item) || !skip_parameters(rest))
            return false;
        if (next(*rest) != ' ' && next(*rest) != ')')
            return false;
    }
}

/* What a key stands for: true where nothing is said. */
static bool read_member(struct slice *rest, struct item *item)
{
    *item = (struct item){.kind = KIND_BOOLEAN, .number = 1};
    if (!take(rest, '='))
        return skip_parameters(rest);
    if (!take(rest, '('))
        return read_bare_item(rest, item) && skip_parameters(rest);
    item->kind = KIND_OTHER;
    return skip_inner_list(rest) && skip_parameters(rest);
}

/* --- priorities ----------------------------------------------------------------------------- */

static void set(struct h2_priority *priority, struct slice key, const struct item *item)
{
    if (slice_equal(key, slice_of("u")) && item->kind == KIND_INTEGER && item->number >= 0 &&
        item->number <= H2_URGENCY_LEAST)
        priority->urgency = (uint8_t)item->number;
    if (slice_equal(key, slice_of("i")) && item->kind == KIND_BOOLEAN)
        priority->incremental = item->number != 0;
}

bool h2_priority_read(struct slice value, struct h2_priority *priority)
{
    struct h2_priority said = *priority;
    struct slice rest = value;

    skip_spaces(&rest);
    while (rest.len > 0) {
        struct slice key;
        struct item item;

        if (!read_key(&rest, &key) || !read_member(&rest, &item))
            return false;
        set(&said, key, &item);
        skip_blanks(&rest);
        if (rest.len == 0)
            break;
        if (!take(&rest, ','))
            return false;
        skip_blanks(&rest);
        if (rest.len == 0)
            return false;
    }
    *priority = said;
    return true;
}

bool h2_priority_read_fields(const struct http_fields *fields, struct h2_priority *priority)
{
    bool says = false;

    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, slice_of("priority")))
            says = h2_priority_read(fields->list[i].value, priority) || says;
    return says;
}
