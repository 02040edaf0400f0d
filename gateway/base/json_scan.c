#include "base/json_scan.h"

#include "base/table.h"

#include <stdarg.h>
#include <stdio.h>

struct scan {
    const char *at, *end;
    unsigned line, column; /* of `at` */
    unsigned depth;
    struct arena *arena;
    struct json_mistake *mistake;
};

/* Where something began, to point there later. */
struct place {
    unsigned line, column;
};

static struct place here(const struct scan *s)
{
    return (struct place){.line = s->line, .column = s->column};
}

/* Always false, so that it can be returned. */
__attribute__((format(printf, 3, 4))) static bool fail_at(struct scan *s, struct place place,
                                                          const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    s->mistake->line = place.line;
    s->mistake->column = place.column;
    vsnprintf(s->mistake->message, sizeof(s->mistake->message), format, arguments);
    va_end(arguments);
    return false;
}

static bool at_end(const struct scan *s)
{
    return s->at == s->end;
}

/* The byte here; 0 at the end, which no valid text holds either. */
static char peek(const struct scan *s)
{
    return at_end(s) ? '\0' : *s->at;
}

/* Goes on by one byte; continuation bytes of UTF-8 are no columns of their own. */
static void step(struct scan *s)
{
    unsigned char byte = (unsigned char)*s->at++;

    if (byte == '\n') {
        s->line++;
        s->column = 1;
    } else if ((byte & 0xc0) != 0x80) {
        s->column++;
    }
}

static void skip(struct scan *s, size_t bytes)
{
    while (bytes-- > 0)
        step(s);
}

static void skip_space(struct scan *s)
{
    while (!at_end(s) && strchr(" \t\r\n", *s->at) && *s->at)
        step(s);
}

static bool looking_at(const struct scan *s, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(s->end - s->at) >= length && memcmp(s->at, text, length) == 0;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The run of letters, digits and so on that starts here, for messages. */
static struct slice word_here(const struct scan *s)
{
    const char *end = s->at;

    while (end < s->end && end - s->at < 40 && (is_word_byte(*end) || strchr("+-.$", *end)) && *end)
        end++;
    return slice_make(s->at, (size_t)(end - s->at));
}

/* What stands here instead of what was expected. */
static bool fail_unexpected(struct scan *s, const char *expected)
{
    struct slice word = word_here(s);

    if (at_end(s))
        return fail_at(s, here(s), "the file ends here, but %s is missing", expected);
    if (looking_at(s, "//") || looking_at(s, "/*") || peek(s) == '#')
        return fail_at(s, here(s),
                       "JSON has no comments: write them as members whose key starts with \"//\"");
    if (peek(s) == '\'')
        return fail_at(s, here(s), "strings take double quotes, not single ones");
    if (word.len > 0)
        return fail_at(s, here(s), "%s was expected, not %.*s", expected, (int)word.len, word.at);
    if (peek(s) > ' ' && peek(s) < 0x7f)
        return fail_at(s, here(s), "%s was expected, not \"%c\"", expected, peek(s));
    return fail_at(s, here(s), "%s was expected, not the byte 0x%02x", expected,
                   (unsigned char)peek(s));
}

/* --- strings ---------------------------------------------------------------------------------- */

/* How many bytes the UTF-8 sequence here takes; 0 when it is none (RFC 3629). */
static size_t utf8_length(const struct scan *s)
{
    const unsigned char *b = (const unsigned char *)s->at;
    size_t left = (size_t)(s->end - s->at);
    size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;

    if (b[0] > 0xf4 || length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return length;
}

/* Reads the XXXX of \uXXXX at `digits`. */
static bool read_hex(const struct scan *s, const char *digits, unsigned *unit)
{
    *unit = 0;
    if (s->end - digits < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *unit = *unit * 16 + digit;
    }
    return true;
}

static size_t put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* At the "u" of an escape: one code point, of one or two \uXXXX. */
static bool scan_unicode_escape(struct scan *s, struct place place, char **out)
{
    unsigned code, low;

    if (!read_hex(s, s->at + 1, &code))
        return fail_at(s, place, "\\u takes four hexadecimal digits");
    skip(s, 5);
    if (code == 0)
        return fail_at(s, place, "\\u0000 is not allowed in a string");
    if (code >= 0xd800 && code <= 0xdfff) {
        bool is_pair = code < 0xdc00 && looking_at(s, "\\u") && read_hex(s, s->at + 2, &low) &&
                       low >= 0xdc00 && low <= 0xdfff;
        if (!is_pair)
            return fail_at(s, place, "half of a surrogate pair");
        skip(s, 6);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out += put_utf8(*out, code);
    return true;
}

/* At the backslash. */
static bool scan_escape(struct scan *s, char **out)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    struct place place = here(s);
    const char *found;

    step(s);
    if (peek(s) == 'u')
        return scan_unicode_escape(s, place, out);
    found = at_end(s) || !peek(s) ? NULL : strchr(letters, peek(s));
    if (!found)
        return fail_at(s, place, "a string has no such escape: \\\\ is a backslash");
    *(*out)++ = bytes[found - letters];
    step(s);
    return true;
}

/* Where the string that starts at `at` could end at the latest: its first quote without a
 * backslash, so that its decoded bytes, never more, get room at once. */
static size_t room_for_string(const struct scan *s)
{
    const char *at = s->at + 1;

    while (at < s->end && *at != '"')
        at += *at == '\\' && at + 1 < s->end ? 2 : 1;
    return (size_t)(at - s->at);
}

/* At the opening quote. *text, when it is wanted, is decoded, terminated and in the arena. */
static bool scan_string(struct scan *s, struct slice *text)
{
    struct place place = here(s);
    char scratch[4], *bytes = text ? arena_bytes(s->arena, room_for_string(s) + 1) : NULL;
    char *out = bytes;

    step(s);
    while (peek(s) != '"') {
        size_t length = at_end(s) ? 0 : utf8_length(s);

        if (!text)
            out = scratch;
        if (at_end(s) || peek(s) == '\n')
            return fail_at(s, place, "the string that starts here has no closing quote");
        if ((unsigned char)peek(s) < 0x20)
            return fail_at(s, here(s),
                           "a control character (0x%02x) inside a string: write it as an escape",
                           (unsigned char)peek(s));
        if (length == 0)
            return fail_at(s, here(s), "the file is not UTF-8 here (byte 0x%02x)",
                           (unsigned char)peek(s));
        if (peek(s) == '\\') {
            if (!scan_escape(s, &out))
                return false;
            continue;
        }
        memcpy(out, s->at, length);
        out += length;
        skip(s, length);
    }
    step(s);
    if (text) {
        *out = '\0';
        *text = slice_make(bytes, (size_t)(out - bytes));
    }
    return true;
}

/* --- numbers and words ------------------------------------------------------------------------ */

static bool skip_digits(struct scan *s)
{
    bool any = false;

    for (; peek(s) >= '0' && peek(s) <= '9'; any = true)
        step(s);
    return any;
}

static bool scan_number(struct scan *s)
{
    struct place place = here(s);
    struct slice word = word_here(s);
    bool is_good = true;

    if (peek(s) == '-')
        step(s);
    if (peek(s) == '0')
        step(s);
    else
        is_good = skip_digits(s);
    if (is_good && peek(s) == '.') {
        step(s);
        is_good = skip_digits(s);
    }
    if (is_good && (peek(s) == 'e' || peek(s) == 'E')) {
        step(s);
        if (peek(s) == '+' || peek(s) == '-')
            step(s);
        is_good = skip_digits(s);
    }
    if (!is_good || is_word_byte(peek(s)) || peek(s) == '.')
        return fail_at(
            s, place,
            "%.*s is not a number as JSON has them (values with a unit, such as \"10s\", "
            "take quotes)",
            (int)word.len, word.at);
    return true;
}

static bool scan_word(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < 3; i++)
        if (slice_equal(word_here(s), slice_of(words[i]))) {
            skip(s, strlen(words[i]));
            return true;
        }
    for (size_t i = 0; i < 3; i++)
        if (slice_equal_nocase(word_here(s), slice_of(words[i])))
            return fail_at(s, here(s), "%s is written in lower case", words[i]);
    if (is_word_byte(peek(s)))
        return fail_at(s, here(s), "%.*s: text takes double quotes", (int)word_here(s).len,
                       word_here(s).at);
    return fail_unexpected(s, "a value");
}

/* --- lists and objects ------------------------------------------------------------------------ */

static bool scan_value(struct scan *s, struct json_node *node);

/* After a value inside brackets: a comma that something follows, or the closing bracket. */
static bool scan_separator(struct scan *s, char close, bool *is_last)
{
    struct place comma = here(s);
    char expected[16];

    *is_last = peek(s) == close;
    if (*is_last) {
        step(s);
        return true;
    }
    if (peek(s) != ',') {
        snprintf(expected, sizeof(expected), "\",\" or \"%c\"", close);
        return fail_unexpected(s, expected);
    }
    step(s);
    skip_space(s);
    if (peek(s) == close)
        return fail_at(s, comma, "a comma that nothing follows: remove it");
    return true;
}

static bool scan_list(struct scan *s, struct json_node *list)
{
    struct json_node **last = &list->first;
    bool is_last = false;

    step(s);
    skip_space(s);
    if (peek(s) == ']') {
        step(s);
        return true;
    }
    for (unsigned index = 0; !is_last; index++) {
        struct json_node *node = arena_alloc(s->arena, sizeof(*node));

        node->parent = list;
        node->index = index;
        if (!scan_value(s, node))
            return false;
        *last = node;
        last = &node->next;
        skip_space(s);
        if (!scan_separator(s, ']', &is_last))
            return false;
    }
    return true;
}

static bool scan_member(struct scan *s, struct json_node *member)
{
    struct place place = here(s);

    if (peek(s) != '"' && is_word_byte(peek(s)))
        return fail_at(s, place, "keys take double quotes: \"%.*s\"", (int)word_here(s).len,
                       word_here(s).at);
    if (peek(s) != '"')
        return fail_unexpected(s, "a key in double quotes");
    if (!scan_string(s, &member->key))
        return false;
    member->key_line = place.line;
    member->key_column = place.column;
    skip_space(s);
    if (peek(s) != ':')
        return fail_unexpected(s, "\":\" behind the key");
    step(s);
    return scan_value(s, member);
}

static void mark_repeated(struct json_node *object, unsigned count)
{
    struct table seen;

    if (count < 2)
        return;
    table_init(&seen);
    for (struct json_node *node = object->first; node; node = node->next) {
        struct json_node *earlier = table_put(&seen, node->key, node);
        if (earlier) {
            node->repeats_line = earlier->key_line;
            earlier->is_repeated = true;
        }
    }
    table_clear(&seen);
}

static bool scan_object(struct scan *s, struct json_node *object)
{
    struct json_node **last = &object->first;
    unsigned count = 0;
    bool is_last = false;

    step(s);
    skip_space(s);
    if (peek(s) == '}') {
        step(s);
        return true;
    }
    while (!is_last) {
        struct json_node *node = arena_alloc(s->arena, sizeof(*node));

        node->parent = object;
        if (!scan_member(s, node))
            return false;
        if (!slice_starts_with(node->key, slice_of("//"))) {
            node->index = count++;
            *last = node;
            last = &node->next;
        }
        skip_space(s);
        if (!scan_separator(s, '}', &is_last))
            return false;
    }
    mark_repeated(object, count);
    return true;
}

static bool scan_value(struct scan *s, struct json_node *node)
{
    const char *start;
    bool is_good;

    skip_space(s);
    start = s->at;
    node->line = s->line;
    node->column = s->column;
    if (s->depth == JSON_DEPTH_MAX)
        return fail_at(s, here(s), "nested deeper than %d levels", JSON_DEPTH_MAX);
    s->depth++;
    if (peek(s) == '{')
        is_good = scan_object(s, node);
    else if (peek(s) == '[')
        is_good = scan_list(s, node);
    else if (peek(s) == '"')
        is_good = scan_string(s, NULL);
    else if (peek(s) == '-' || (peek(s) >= '0' && peek(s) <= '9'))
        is_good = scan_number(s);
    else
        is_good = scan_word(s);
    s->depth--;
    node->text = slice_make(start, (size_t)(s->at - start));
    return is_good;
}

struct json_node *json_scan(struct slice text, struct arena *arena, struct json_mistake *mistake)
{
    struct scan s = {.at = text.at,
                     .end = text.at + text.len,
                     .line = 1,
                     .column = 1,
                     .arena = arena,
                     .mistake = mistake};
    struct json_node *root = arena_alloc(arena, sizeof(*root));
    bool is_good;

    if (looking_at(&s, "\xef\xbb\xbf")) {
        fail_at(&s, here(&s), "the file starts with a byte order mark: save it without one");
        return NULL;
    }
    skip_space(&s);
    if (at_end(&s)) {
        fail_at(&s, here(&s), "the file is empty");
        return NULL;
    }
    is_good = scan_value(&s, root);
    skip_space(&s);
    if (is_good && !at_end(&s))
        is_good = fail_at(&s, here(&s), "something follows the end of the JSON value");
    return is_good ? root : NULL;
}
