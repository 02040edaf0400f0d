/* Everything wrong with a route file, each with its place and the way out. */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include "base/buffer.h"

struct problem {
    bool is_warning;
    char *file;
    unsigned line, column; /* from 1; 0: the file as a whole, the line as a whole */
    char *path;            /* routes["api.example.com"].paths["/v1/"].to */
    char *message;         /* what is wrong and what to do, one sentence */
    char *suggestion;      /* nearest known key or name, or NULL */
};

/* Where something stands in a file; kept when the file's text is not. */
struct text_place {
    unsigned line, column; /* from 1; 0: the file as a whole */
    const char *path;      /* NULL: none */
};

struct problems {
    struct problem *list;
    size_t count, errors;
};

void problems_init(struct problems *problems);
void problems_clear(struct problems *problems);
void problems_add(struct problems *problems, bool is_warning, const char *file, unsigned line,
                  unsigned column, const char *path, const char *suggestion, const char *format,
                  ...) __attribute__((format(printf, 8, 9)));
/* The same at a place, without a suggestion. */
void problems_add_at(struct problems *problems, bool is_warning, const char *file,
                     struct text_place place, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* In the order of the file; warnings among them. */
void problems_sort(struct problems *problems);

/* "FILE:LINE:COLUMN: error: PATH: MESSAGE (did you mean "x"?)", one line each. */
void problems_print(const struct problems *problems, struct buffer *out, bool in_colour);
/* {"errors":[…],"warnings":[…]}: elements {file,line,column,path,message,suggestion}. */
void problems_print_json(const struct problems *problems, struct buffer *out);

#endif
