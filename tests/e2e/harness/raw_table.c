#include "raw_table.h"

#include "workplace.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char separator[] = " | ";

/* --- the table ------------------------------------------------------------------------------ */

static char *trim(char *from)
{
    char *end = from + strlen(from);

    while (*from == ' ')
        from++;
    while (end > from && end[-1] == ' ')
        end--;
    *end = '\0';
    return from;
}

static void split_columns(struct raw_case *into, char *line, int columns)
{
    while (line != NULL) {
        char *next = strstr(line, separator);

        if (next != NULL) {
            *next = '\0';
            next += strlen(separator);
        }
        workplace_require(into->column_count < columns, "line %d: more than %d columns", into->line,
                          columns);
        into->columns[into->column_count++] = trim(line);
        line = next;
    }
    workplace_require(into->column_count == columns, "line %d: %d columns, not %d", into->line,
                      into->column_count, columns);
}

static bool has_one_name(const struct raw_case *a, const struct raw_case *b)
{
    return strcmp(a->section, b->section) == 0 && strcmp(a->columns[0], b->columns[0]) == 0;
}

static void add_case(struct raw_table *table, const struct raw_case *place, char *line, int columns)
{
    struct raw_case *added = &table->cases[table->count];

    *added = *place;
    split_columns(added, line, columns);
    for (int i = 0; i < table->count; i++)
        workplace_require(!has_one_name(&table->cases[i], added),
                          "line %d: the name of line %d, %s, once more", added->line,
                          table->cases[i].line, added->columns[0]);
    table->count++;
}

const struct raw_table *raw_table_read(const char *name, int columns)
{
    const char *root = getenv("SALLYPORT_SOURCE_DIR");
    char *path = text("%s/tests/e2e/tables/%s", root != NULL ? root : ".", name);
    char *line = workplace_read(path);
    struct raw_table *table = workplace_own(calloc(1, sizeof *table), free);
    struct raw_case place = {.section = ""};
    int lines = 1;

    workplace_require(line != NULL, "%s cannot be read (SALLYPORT_SOURCE_DIR?)", path);
    workplace_require(columns <= RAW_COLUMNS_MAX, "too many columns");
    for (const char *at = line; *at != '\0'; at++)
        lines += *at == '\n';
    table->cases = workplace_own(calloc((size_t)lines, sizeof *table->cases), free);
    for (place.line = 1; line != NULL; place.line++) {
        char *next = strchr(line, '\n');

        if (next != NULL)
            *next++ = '\0';
        line = trim(line);
        if (strncmp(line, "== ", 3) == 0)
            place.section = text("%s", line + 3);
        else if (*line != '\0' && *line != '#')
            add_case(table, &place, line, columns);
        line = next;
    }
    return table;
}

const char *raw_case_place(const struct raw_case *of)
{
    return text("%s (line %d)", of->columns[0], of->line);
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* What is read of one column so far; `bytes` is the piece that grows. */
struct reading {
    const struct raw_case *of;
    struct raw_script *script;
    int room;
    char *bytes;
    size_t length, capacity;
};

static void add_piece(struct reading *reading, struct raw_piece piece)
{
    struct raw_script *script = reading->script;

    workplace_require(script->count < reading->room, "%s: too many pieces",
                      raw_case_place(reading->of));
    script->pieces[script->count++] = piece;
}

static void end_bytes(struct reading *reading)
{
    if (reading->length == 0)
        return;
    reading->bytes[reading->length] = '\0';
    workplace_own(reading->bytes, free);
    add_piece(reading, (struct raw_piece){.bytes = reading->bytes, .length = reading->length});
    reading->bytes = NULL;
    reading->length = reading->capacity = 0;
}

static void add_bytes(struct reading *reading, const char *bytes, size_t length)
{
    if (reading->length + length >= reading->capacity) { /* with room to terminate them */
        reading->capacity = 2 * (reading->length + length) + 64;
        reading->bytes = realloc(reading->bytes, reading->capacity);
        if (reading->bytes == NULL)
            abort();
    }
    memcpy(reading->bytes + reading->length, bytes, length);
    reading->length += length;
}

static int hex_digit(char digit)
{
    if (!isxdigit((unsigned char)digit))
        return -1;
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* The byte that the escape at `at`, behind its backslash, stands for; *behind is where it ends. */
static char read_escape(const struct raw_case *of, const char *at, const char **behind)
{
    static const char names[] = "rnts\\", values[] = "\r\n\t \\";
    const char *found = *at != '\0' ? strchr(names, *at) : NULL;
    int high = *at == 'x' ? hex_digit(at[1]) : -1;
    int low = high >= 0 ? hex_digit(at[2]) : -1;

    workplace_require(found != NULL || low >= 0, "%s: \\%.3s is no escape", raw_case_place(of), at);
    *behind = at + (found != NULL ? 1 : 3);
    return found != NULL ? values[found - names] : (char)(high * 16 + low);
}

/* One byte, as it stands or escaped. */
static const char *read_byte(struct reading *reading, const char *at)
{
    const char *behind = at + 1;
    char byte = *at == '\\' ? read_escape(reading->of, at + 1, &behind) : *at;

    add_bytes(reading, &byte, 1);
    return behind;
}

/* "N*TEXT}" */
static const char *read_repetition(struct reading *reading, const char *at)
{
    char *rest;
    unsigned long times = strtoul(at, &rest, 10);
    const char *from = rest + 1;
    const char *end = strchr(at, '}');

    workplace_require(rest > at && *rest == '*' && end != NULL, "%s: \\{%.10s is no repetition",
                      raw_case_place(reading->of), at);
    for (unsigned long i = 0; i < times; i++) {
        for (const char *byte = from; byte < end;)
            byte = read_byte(reading, byte);
    }
    return end + 1;
}

/* "WORD>" */
static const char *read_mark(struct reading *reading, const char *at)
{
    const char *end = strchr(at, '>');

    workplace_require(end != NULL, "%s: \\<%.10s is no mark", raw_case_place(reading->of), at);
    end_bytes(reading);
    add_piece(reading, (struct raw_piece){.mark = text("%.*s", (int)(end - at), at)});
    return end + 1;
}

static const struct raw_script *read_script(const struct raw_case *of, const char *at)
{
    struct raw_script *script = workplace_own(calloc(1, sizeof *script), free);
    struct reading reading = {.of = of, .script = script, .room = (int)strlen(at) + 1};

    script->pieces = workplace_own(calloc((size_t)reading.room, sizeof *script->pieces), free);
    while (*at != '\0') {
        if (strncmp(at, "\\{", 2) == 0)
            at = read_repetition(&reading, at + 2);
        else if (strncmp(at, "\\<", 2) == 0)
            at = read_mark(&reading, at + 2);
        else
            at = read_byte(&reading, at);
    }
    end_bytes(&reading);
    return script;
}

const struct raw_script *raw_script_read(const struct raw_case *of, int column)
{
    return read_script(of, of->columns[column]);
}

const char *raw_bytes(const struct raw_case *of, const char *written, size_t *length)
{
    const struct raw_script *script = read_script(of, written);

    workplace_require(script->count <= 1 && (script->count == 0 || script->pieces->mark == NULL),
                      "%s: marks are of no use here", raw_case_place(of));
    *length = script->count == 0 ? 0 : script->pieces->length;
    return script->count == 0 ? "" : script->pieces->bytes;
}

const char *raw_show(const char *bytes, size_t length)
{
    char *shown = workplace_own(calloc(length + 1, sizeof "\\xff"), free), *at = shown;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '\r' || c == '\n')
            at = stpcpy(at, c == '\r' ? "\\r" : "\\n");
        else if (c < ' ' || c >= 0x7f || c == '\\')
            at += sprintf(at, "\\x%02x", c);
        else
            *at++ = (char)c;
    }
    return shown;
}

/* --- words ---------------------------------------------------------------------------------- */

bool raw_next_word(const char **rest, char *word, size_t room)
{
    const char *at = *rest + strspn(*rest, " ");
    size_t length = strcspn(at, " "), made = 0;

    *rest = at + length;
    if (length == 0)
        return false;
    workplace_require(length < room, "the word %.*s is too long", (int)length, at);
    for (const char *end = at + length; at < end; at++) {
        bool is_blank = at[0] == '\\' && at[1] == 's';

        word[made++] = is_blank ? ' ' : *at;
        at += is_blank;
    }
    word[made] = '\0';
    return true;
}
