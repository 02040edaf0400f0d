/* What cache_table.c, which reads the tables, and cache_rows.c, which plays them, share. */
#ifndef E2E_CACHE_PRIVATE_H
#define E2E_CACHE_PRIVATE_H

#include "cache_rows.h"

enum {
    CACHE_FIELDS_MOST = 16,
    CACHE_WORDS_MOST = 12,
    CACHE_STEPS_MOST = 12,
    CACHE_ANSWERS_MOST = 3
};

/* One line, taken apart. */
struct cache_part {
    int line;
    int word_count, field_count;
    char *words[CACHE_WORDS_MOST]; /* behind the first */
    char *fields[CACHE_FIELDS_MOST];
};

struct cache_step {
    struct cache_part ask, see;
    struct cache_part answers[CACHE_ANSWERS_MOST]; /* the backend's */
    struct cache_part got[CACHE_ANSWERS_MOST];
    int answer_count;
    bool has_later; /* the last answer comes behind the client's */
};

struct cache_case {
    int line;
    const char *section, *name;
    struct cache_step steps[CACHE_STEPS_MOST];
    int step_count;
};

struct cache_table {
    struct cache_case *cases;
    int count;
};

/* Without the blanks around it; in place. */
char *cache_trim(char *from);

#endif
