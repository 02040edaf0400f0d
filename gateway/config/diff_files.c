/* What policies take from files beside the route file, compared. */
#include "config/diff_internal.h"

#include "policy/source.h"

static const struct snapshot_source *find(const struct snapshot *snapshot, struct slice id)
{
    for (unsigned i = 0; i < snapshot->source_count; i++)
        if (slice_equal(source_id(snapshot->sources[i].source), id))
            return &snapshot->sources[i];
    return NULL;
}

/* What its kind says of it, if that tells the two apart. */
static struct slice summary(struct comparison *c, const struct snapshot_source *it,
                            const struct snapshot_source *other, const char *else_text)
{
    if (it->fingerprint == 0)
        return slice_of("not usable");
    return strcmp(it->summary, other->summary) != 0 ? arena_copy(c->arena, slice_of(it->summary))
                                                    : slice_of(else_text);
}

void compare_files(struct comparison *c)
{
    for (unsigned i = 0; i < c->is->source_count; i++) {
        const struct snapshot_source *is = &c->is->sources[i];
        const struct snapshot_source *was = find(c->was, source_id(is->source));

        if (!was || was->fingerprint == is->fingerprint)
            continue;
        comparison_add(c, (struct change){
                              .kind = CHANGE_CHANGED,
                              .about = ABOUT_FILE,
                              .name = arena_copy(c->arena, slice_of(source_location(is->source))),
                              .was = summary(c, was, is, ""),
                              .is = summary(c, is, was, "has other content"),
                          });
    }
}
