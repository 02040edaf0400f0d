/* The table of raw requests: one row a line, "name | bytes | outcome", in sections that begin with
 * "== NAME". "#" begins a line of comment.
 *
 * In bytes and outcomes ~ stands for CRLF, \r \n \t \0 \s \\ \xNN for single bytes (\s is a space
 * that is not trimmed away), {3*ab} for ababab; other words in braces stay for whoever reads the
 * row. */
#ifndef E2E_REQUEST_TABLE_H
#define E2E_REQUEST_TABLE_H

#include <stddef.h>

struct request_row {
    char *section, *name;
    char *bytes;
    size_t length;
    char *outcome; /* as written */
    int line;
};

struct request_table {
    struct request_row *rows;
    size_t count;
};

/* Reads TESTS/e2e/tables/NAME; lives until the test ends. Fails the test for what is no row. */
struct request_table *request_table_read(const char *name);

/* The bytes that some text of a row stands for, terminated; the caller frees them. */
char *request_bytes(const char *text, size_t *length);
/* Bytes so that they can be read in a message; lives until the test ends. */
char *request_show(const char *bytes, size_t length);

#endif
