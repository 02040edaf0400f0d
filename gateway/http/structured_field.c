#include "http/structured_field.h"

enum { INTEGER_DIGITS = 15, DECIMAL_WHOLE_DIGITS = 12, DECIMAL_FRACTION_DIGITS = 3 };

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

static bool is_key(char c)
{
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

static bool is_in_token(char c)
{
    return is_letter(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~:/", c));
}

static bool is_base64(char c)
{
    return is_letter(c) || is_digit(c) || c == '+' || c == '/' || c == '=';
}

static bool has(struct slice rest, char c)
{
    return rest.len > 0 && rest.at[0] == c;
}

static bool take(struct slice *rest, char c)
{
    if (!has(*rest, c))
        return false;
    *rest = slice_skip(*rest, 1);
    return true;
}

static void take_spaces(struct slice *rest)
{
    while (take(rest, ' '))
        ;
}

static void take_blanks(struct slice *rest)
{
    while (take(rest, ' ') || take(rest, '\t'))
        ;
}

static struct slice take_while(struct slice *rest, bool (*belongs)(char))
{
    size_t length = 0;
    struct slice taken;

    while (length < rest->len && belongs(rest->at[length]))
        length++;
    taken = slice_make(rest->at, length);
    *rest = slice_skip(*rest, length);
    return taken;
}

/* --- values --------------------------------------------------------------------------------- */

static bool take_key(struct slice *rest, struct slice *key)
{
    if (rest->len == 0 || !(is_lower(rest->at[0]) || rest->at[0] == '*'))
        return false;
    *key = take_while(rest, is_key);
    return true;
}

static bool take_number(struct slice *rest, struct structured_member *member)
{
    bool is_negative = take(rest, '-');
    struct slice whole = take_while(rest, is_digit);
    uint64_t value;

    if (whole.len == 0 || whole.len > INTEGER_DIGITS || !slice_parse_u64(whole, &value))
        return false;
    member->kind = STRUCTURED_INTEGER;
    member->integer = is_negative ? -(int64_t)value : (int64_t)value;
    if (take(rest, '.')) {
        struct slice fraction = take_while(rest, is_digit);

        member->kind = STRUCTURED_OTHER;
        return whole.len <= DECIMAL_WHOLE_DIGITS && fraction.len > 0 &&
               fraction.len <= DECIMAL_FRACTION_DIGITS;
    }
    return true;
}

static bool take_string(struct slice *rest, struct structured_member *member)
{
    for (size_t i = 1; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->at[i];

        if (c == '"') {
            member->kind = STRUCTURED_TEXT;
            member->text = slice_make(rest->at + 1, i - 1);
            *rest = slice_skip(*rest, i + 1);
            return true;
        }
        if (c == '\\' && (++i == rest->len || (rest->at[i] != '"' && rest->at[i] != '\\')))
            return false;
        if (c < 0x20 || c >= 0x7f)
            return false;
    }
    return false;
}

static bool take_display_string(struct slice *rest)
{
    *rest = slice_skip(*rest, 1);
    if (!take(rest, '"'))
        return false;
    for (size_t i = 0; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->at[i];

        if (c == '"') {
            *rest = slice_skip(*rest, i + 1);
            return true;
        }
        if (c < 0x20 || c >= 0x7f)
            return false;
    }
    return false;
}

static bool take_bytes(struct slice *rest)
{
    *rest = slice_skip(*rest, 1);
    (void)take_while(rest, is_base64);
    return take(rest, ':');
}

static bool take_boolean(struct slice *rest, struct structured_member *member)
{
    *rest = slice_skip(*rest, 1);
    member->kind = has(*rest, '1') ? STRUCTURED_TRUE : STRUCTURED_FALSE;
    return take(rest, '1') || take(rest, '0');
}

static bool take_date(struct slice *rest)
{
    struct structured_member date;

    *rest = slice_skip(*rest, 1);
    return take_number(rest, &date) && date.kind == STRUCTURED_INTEGER;
}

static bool take_bare_item(struct slice *rest, struct structured_member *member)
{
    char first = rest->len > 0 ? rest->at[0] : '\0';

    member->kind = STRUCTURED_OTHER;
    if (is_digit(first) || first == '-')
        return take_number(rest, member);
    if (is_letter(first) || first == '*') {
        member->kind = STRUCTURED_TEXT;
        member->text = take_while(rest, is_in_token);
        return true;
    }
    switch (first) {
    case '"': return take_string(rest, member);
    case '?': return take_boolean(rest, member);
    case ':': return take_bytes(rest);
    case '@': return take_date(rest);
    case '%': return take_display_string(rest);
    default: return false;
    }
}

static bool take_parameters(struct slice *rest)
{
    struct structured_member ignored;

    while (take(rest, ';')) {
        take_spaces(rest);
        if (!take_key(rest, &ignored.key))
            return false;
        if (take(rest, '=') && !take_bare_item(rest, &ignored))
            return false;
    }
    return true;
}

static bool take_inner_list(struct slice *rest)
{
    struct structured_member ignored;

    for (;;) {
        take_spaces(rest);
        if (take(rest, ')'))
            return true;
        if (!take_bare_item(rest, &ignored) || !take_parameters(rest))
            return false;
        if (!has(*rest, ' ') && !has(*rest, ')'))
            return false;
    }
}

/* --- members -------------------------------------------------------------------------------- */

static bool take_member(struct slice *rest, struct structured_member *member)
{
    *member = (struct structured_member){.kind = STRUCTURED_TRUE};
    if (!take_key(rest, &member->key))
        return false;
    if (take(rest, '=')) {
        if (take(rest, '(')) {
            member->kind = STRUCTURED_OTHER;
            if (!take_inner_list(rest))
                return false;
        } else if (!take_bare_item(rest, member)) {
            return false;
        }
    }
    return take_parameters(rest);
}

bool structured_next_member(struct structured_reader *reader, struct structured_member *member)
{
    struct slice *rest = &reader->rest;

    if (reader->is_broken)
        return false;
    if (!reader->has_begun) {
        take_spaces(rest);
        reader->has_begun = true;
        if (rest->len == 0)
            return false;
    } else {
        take_blanks(rest);
        if (rest->len == 0)
            return false;
        if (!take(rest, ',')) {
            reader->is_broken = true;
            return false;
        }
        take_blanks(rest);
    }
    reader->is_broken = !take_member(rest, member);
    return !reader->is_broken;
}
