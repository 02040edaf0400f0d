#include "request_table.h"

#include "workplace.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- bytes ---------------------------------------------------------------------------------- */

static int escaped(const char **text)
{
    static const char letters[] = "rnt0s\\", bytes[] = "\r\n\t\0 \\";
    const char *letter = strchr(letters, **text);
    char digits[3] = {0};

    if (**text == 'x' && isxdigit((unsigned char)(*text)[1]) &&
        isxdigit((unsigned char)(*text)[2])) {
        memcpy(digits, *text + 1, 2);
        *text += 3;
        return (int)strtol(digits, NULL, 16);
    }
    workplace_require(**text != '\0' && letter != NULL, "no escape: \\%s", *text);
    (*text)++;
    return (unsigned char)bytes[letter - letters];
}

/* "{3*ab}": its end, NULL when it is another word. */
static const char *repeated(const char *text, long *times, const char **piece)
{
    char *star;

    *times = strtol(text + 1, &star, 10);
    *piece = star + 1;
    return star != text + 1 && *star == '*' ? strchr(star, '}') : NULL;
}

static void put_bytes(FILE *out, const char *text, const char *end)
{
    while (text < end) {
        const char *piece, *close = NULL;
        long times;

        if (*text == '{')
            close = repeated(text, &times, &piece);
        if (close != NULL) {
            while (times-- > 0)
                put_bytes(out, piece, close);
            text = close + 1;
        } else if (*text == '~') {
            fputs("\r\n", out);
            text++;
        } else if (*text == '\\') {
            text++;
            putc(escaped(&text), out);
        } else {
            putc(*text++, out);
        }
    }
}

char *request_bytes(const char *text, size_t *length)
{
    char *bytes = NULL;
    FILE *out = open_memstream(&bytes, length);

    put_bytes(out, text, text + strlen(text));
    fclose(out);
    return bytes;
}

char *request_show(const char *bytes, size_t length)
{
    char *shown = NULL;
    size_t size;
    FILE *out = open_memstream(&shown, &size);

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\r' && i + 1 < length && bytes[i + 1] == '\n')
            fputs("~", out), i++;
        else if (c < ' ' || c >= 0x7f || c == '~' || c == '\\')
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
    fclose(out);
    return workplace_own(shown, free);
}

/* --- rows ----------------------------------------------------------------------------------- */

static char *trimmed(char *text)
{
    size_t length;

    while (*text == ' ')
        text++;
    for (length = strlen(text); length > 0 && strchr(" \n", text[length - 1]) != NULL; length--)
        text[length - 1] = '\0';
    return text;
}

static char *next_part(char **rest)
{
    char *part = *rest, *bar = strstr(part, " | ");

    *rest = bar != NULL ? bar + 3 : NULL;
    if (bar != NULL)
        *bar = '\0';
    return trimmed(part);
}

static void add_row(struct request_table *table, const char *section, char *text, int line)
{
    char *rest = text, *name = next_part(&rest);
    char *bytes = rest != NULL ? next_part(&rest) : NULL;
    struct request_row *row;

    workplace_require(rest != NULL && strstr(rest, " | ") == NULL, "line %d is no row", line);
    table->rows = realloc(table->rows, (table->count + 1) * sizeof *table->rows);
    if (table->rows == NULL)
        abort();
    row = &table->rows[table->count++];
    *row = (struct request_row){.section = strdup(section),
                                .name = strdup(name),
                                .outcome = strdup(trimmed(rest)),
                                .line = line};
    row->bytes = request_bytes(bytes, &row->length);
}

static void table_free(void *object)
{
    struct request_table *table = object;

    for (size_t i = 0; i < table->count; i++) {
        free(table->rows[i].section);
        free(table->rows[i].name);
        free(table->rows[i].bytes);
        free(table->rows[i].outcome);
    }
    free(table->rows);
    free(table);
}

struct request_table *request_table_read(const char *name)
{
    struct request_table *table = workplace_own(calloc(1, sizeof *table), table_free);
    const char *root = getenv("SALLYPORT_SOURCE_DIR");
    const char *path = text("%s/tests/e2e/tables/%s", root != NULL ? root : ".", name);
    FILE *file = fopen(path, "r");
    char *line = NULL, section[64] = "";
    size_t room = 0;

    workplace_require(file != NULL, "there is no %s", path);
    for (int number = 1; getline(&line, &room, file) > 0; number++) {
        if (strncmp(line, "== ", 3) == 0)
            snprintf(section, sizeof section, "%s", trimmed(line + 3));
        else if (line[0] != '#' && line[0] != '\n')
            add_row(table, section, line, number);
    }
    free(line);
    fclose(file);
    return table;
}
