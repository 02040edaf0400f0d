/* A comparison under way: what the files of `diff` share with each other alone. */
#ifndef CONFIG_DIFF_INTERNAL_H
#define CONFIG_DIFF_INTERNAL_H

#include "base/table.h"
#include "config/diff.h"
#include "config/diff_words.h"

/* Routes or hosts that have one change in common: it is told once. */
struct change_group {
    struct change change;
    struct slice *names;
    size_t count, capacity;
    struct change_group *next;
};

struct change_groups {
    struct table by_change;
    struct change_group *first, **end; /* in the order they came up */
};

struct comparison {
    struct diff *diff;
    struct arena *arena; /* the diff's */
    const struct snapshot *was, *is;
    struct change_groups settings, certificates;
};

/* Adds it; its texts live in the diff's arena, or as long. */
void comparison_add(struct comparison *comparison, struct change change);
/* The group of that change (about, key, was, is), begun if there was none. */
struct change_group *comparison_group(struct comparison *comparison, struct change_groups *groups,
                                      struct change change);
void comparison_join(struct comparison *comparison, struct change_group *group, struct slice name);

/* Each file's part. */
void compare_gateway(struct comparison *comparison);
void compare_backends(struct comparison *comparison);
void compare_routes(struct comparison *comparison);
void compare_certificates(struct comparison *comparison);
void compare_clients(struct comparison *comparison);
void compare_files(struct comparison *comparison);

/* Servers one by one, as changes of `about` and `name`. */
void compare_servers(struct comparison *comparison, enum change_about about, struct slice name,
                     const struct upstream_spec *was, const struct upstream_spec *is);

#endif
