/* Tables of raw bytes: one case a line, what is sent and what shall come of it, read from
 * tests/e2e/tables/.
 *
 * A line is columns parted by " | ", blanks around them dropped; what begins with # is a comment,
 * empty lines are skipped, and "== NAME" begins a section. In a column of bytes (raw_script_read,
 * raw_bytes) stand for themselves all printable characters but \ ; else
 *
 *     \r \n \t \s \\ \xHH    CR, LF, HTAB, space (at an end of the column), \, any byte (\x7c: |)
 *     \{N*TEXT}              TEXT, which may have escapes but no braces, N times
 *     \<WORD>                a mark between bytes: what it means is its table's to say
 */
#ifndef E2E_RAW_TABLE_H
#define E2E_RAW_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { RAW_COLUMNS_MAX = 8 };

struct raw_case {
    int line;            /* in the file, from 1 */
    const char *section; /* "" before the first */
    int column_count;
    const char *columns[RAW_COLUMNS_MAX]; /* the first one is the case's name */
};

struct raw_table {
    struct raw_case *cases;
    int count;
};

/* The table in tests/e2e/tables/NAME, each line of which has so many columns. Lives until the test
 * ends. Fails the test when it cannot be read, or when two cases of a section have one name. */
const struct raw_table *raw_table_read(const char *name, int columns);

/* Bytes, or a mark. */
struct raw_piece {
    const char *mark; /* NULL: bytes */
    const char *bytes;
    size_t length;
};

struct raw_script {
    struct raw_piece *pieces;
    int count;
};

/* Takes a column apart. Lives until the test ends; fails the test on a wrong escape. */
const struct raw_script *raw_script_read(const struct raw_case *of, int column);

/* The bytes that `written` stands for, terminated; no marks are among them. Lives until the test
 * ends; fails the test on a wrong escape, with the case's name. */
const char *raw_bytes(const struct raw_case *of, const char *written, size_t *length);
/* The other way: bytes for a message. Lives until the test ends. */
const char *raw_show(const char *bytes, size_t length);

/* Goes through a column's words, parted by blanks: copies the next one to `word` (the longer ones
 * fail the test) and moves *rest behind it; false at the end. A word may hold blanks as \s. */
bool raw_next_word(const char **rest, char *word, size_t room);

/* "NAME (line N)", for messages. Lives until the test ends. */
const char *raw_case_place(const struct raw_case *of);

#endif
