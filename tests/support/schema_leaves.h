/* Every key of a route file, with two files that differ in its value alone. */
#ifndef TESTS_SUPPORT_SCHEMA_LEAVES_H
#define TESTS_SUPPORT_SCHEMA_LEAVES_H

#include <stddef.h>

/* Files as route_folder_load_with_certs takes them. */
struct schema_leaf {
    const char *path, *before, *after;
};
extern const struct schema_leaf schema_leaves[];
extern const size_t schema_leaf_count;

/* Settings may stand in four places, with the same words in each: these are members alone. */
extern const struct schema_leaf schema_setting_leaves[];
extern const size_t schema_setting_leaf_count;

enum { SCHEMA_SETTING_PLACES = 4 };
/* What stands before such a member, and behind it. */
struct schema_place {
    const char *path, *head, *tail;
};
extern const struct schema_place schema_setting_places[SCHEMA_SETTING_PLACES];

/* Such files with one backend, and with a host that is split. */
#define BACKEND(key, value)                                                                        \
    "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': ['x:1', 'x:2'], " key ": " value \
    " } }"
#define SPLIT(entry)     "'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': " entry " }"
#define SPLIT_HOST(rest) SPLIT("{ 'to': { 'b': 1, 'c': 1 }" rest " }")

#endif
