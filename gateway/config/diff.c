#include "config/diff.h"

#include "base/check.h"
#include "config/diff_internal.h"

#include <stdlib.h>

const char *change_kind_name(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_ADDED: return "added";
    case CHANGE_REMOVED: return "removed";
    case CHANGE_MOVED: return "moved";
    case CHANGE_CHANGED: return "changed";
    case CHANGE_MISSING: return "missing";
    }
    return "";
}

const char *change_about_name(enum change_about about)
{
    switch (about) {
    case ABOUT_GATEWAY: return "gateway";
    case ABOUT_BACKEND: return "backend";
    case ABOUT_HOST: return "host";
    case ABOUT_PATH: return "path";
    case ABOUT_SETTING: return "setting";
    case ABOUT_CERTIFICATE: return "certificate";
    case ABOUT_FILE: return "file";
    }
    return "";
}

void comparison_add(struct comparison *comparison, struct change change)
{
    struct diff *diff = comparison->diff;

    if (diff->count == diff->capacity) {
        diff->capacity = diff->capacity ? 2 * diff->capacity : 64;
        diff->list = memory_resize(diff->list, diff->capacity * sizeof(*diff->list));
    }
    diff->list[diff->count++] = change;
}

/* --- groups -------------------------------------------------------------------------------------
 */

struct change_group *comparison_group(struct comparison *comparison, struct change_groups *groups,
                                      struct change change)
{
    struct slice key = arena_printf(comparison->arena, "%.*s\n%.*s\n%.*s\n%d", (int)change.key.len,
                                    change.key.at, (int)change.was.len, change.was.at,
                                    (int)change.is.len, change.is.at, (int)change.kind);
    struct change_group *group = table_get(&groups->by_change, key);

    if (group)
        return group;
    group = arena_alloc(comparison->arena, sizeof(*group));
    group->change = change;
    table_put(&groups->by_change, key, group);
    *groups->end = group;
    groups->end = &group->next;
    return group;
}

void comparison_join(struct comparison *comparison, struct change_group *group, struct slice name)
{
    struct slice *grown;

    if (group->count > 0 && slice_equal(group->names[group->count - 1], name))
        return; /* another share of the same route */
    if (group->count == group->capacity) {
        group->capacity = group->capacity ? 2 * group->capacity : 4;
        grown = arena_alloc(comparison->arena, group->capacity * sizeof(*grown));
        if (group->count > 0)
            memcpy(grown, group->names, group->count * sizeof(*grown));
        group->names = grown;
    }
    group->names[group->count++] = arena_copy(comparison->arena, name);
}

static void begin_groups(struct change_groups *groups)
{
    table_init(&groups->by_change);
    groups->end = &groups->first;
}

static void end_groups(struct comparison *comparison, struct change_groups *groups)
{
    for (const struct change_group *group = groups->first; group; group = group->next) {
        struct change change = group->change;
        change.reach = group->names;
        change.reach_count = group->count;
        comparison_add(comparison, change);
    }
    table_clear(&groups->by_change);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* What is told of every route is told last and together. */
void diff_make(struct diff *diff, const struct snapshot *was, const struct snapshot *is)
{
    struct comparison comparison = {.diff = diff, .arena = &diff->arena, .was = was, .is = is};

    *diff = (struct diff){0};
    begin_groups(&comparison.settings);
    begin_groups(&comparison.certificates);
    compare_gateway(&comparison);
    compare_backends(&comparison);
    compare_routes(&comparison);
    compare_certificates(&comparison);
    compare_clients(&comparison);
    compare_files(&comparison);
    end_groups(&comparison, &comparison.settings);
    end_groups(&comparison, &comparison.certificates);
}

void diff_clear(struct diff *diff)
{
    free(diff->list);
    arena_clear(&diff->arena);
    *diff = (struct diff){0};
}
