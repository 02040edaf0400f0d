#include "config/build_sources.h"

#include "base/check.h"
#include "policy/policy.h"
#include "routing/host.h"

#include <stdlib.h>

/* --- reading the route file ---------------------------------------------------------------------
 */

struct source *read_source(struct reader *reader, const struct json_node *node,
                           enum source_kind kind, bool takes_urls, struct policy *policy)
{
    struct slice text = reader_node_text(node);
    struct source *source;
    const char *path;

    if (takes_urls && (slice_starts_with(text, slice_of("http://")) ||
                       slice_starts_with(text, slice_of("https://")))) {
        path = arena_text(&policy->arena, text);
    } else {
        if (!reader_path(reader, node, &path))
            return NULL;
        problems_warn_if_pinned(reader->problems, reader->file,
                                reader_place(reader, node, AT_VALUE), path);
    }
    source = sources_get(reader->sources, kind, path);
    policy_add_source(policy, source);
    return source;
}

/* --- what a snapshot names ----------------------------------------------------------------------
 */

static void add_source(struct snapshot *snapshot, struct table *seen, struct source *source)
{
    unsigned count = snapshot->source_count;

    if (table_get(seen, source_id(source)))
        return;
    table_put(seen, source_id(source), source);
    if ((count & (count - 1)) == 0) /* doubles when it is a power of two */
        snapshot->sources = memory_resize(snapshot->sources, (count ? 2 * (size_t)count : 1) *
                                                                 sizeof(*snapshot->sources));
    snapshot->sources[snapshot->source_count++] =
        (struct snapshot_source){.source = source_ref(source)};
}

static void collect(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    struct table seen;

    table_init(&seen);
    for (unsigned i = 0; i < config->host_count; i++)
        for (unsigned k = 0; k < config->hosts[i]->policy_count; k++)
            for (const struct policy_source *named = config->hosts[i]->policies[k]->sources; named;
                 named = named->next)
                add_source(snapshot, &seen, named->source);
    table_clear(&seen);
}

/* The lines that are wrong; where nothing can be used the last one says so, and what comes of it.
 */
static void report(const struct source *source, bool must_be_usable, struct problems *problems)
{
    bool is_broken = source_is_broken(source);

    for (const struct source_complaint *said = source_complaints(source); said; said = said->next) {
        bool is_whole = is_broken && said->next == NULL;

        problems_add(problems, !is_whole || !must_be_usable, source_location(source), said->line, 0,
                     NULL, NULL, "%.*s%s%s", (int)said->text.len, said->text.at,
                     is_whole ? "; until then " : "", is_whole ? source_remark(source) : "");
    }
}

void build_sources(struct snapshot *snapshot, bool must_be_usable, struct problems *problems)
{
    collect(snapshot);
    for (unsigned i = 0; i < snapshot->source_count; i++) {
        struct snapshot_source *named = &snapshot->sources[i];

        source_look(named->source);
        named->fingerprint = source_fingerprint(named->source);
        slice_copy_text(slice_of(source_summary(named->source)), named->summary,
                        sizeof(named->summary));
        report(named->source, must_be_usable, problems);
    }
}

/* Whichever is named first. */
uint64_t sources_fingerprint(const struct snapshot *snapshot)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < snapshot->source_count; i++) {
        const struct snapshot_source *named = &snapshot->sources[i];
        uint64_t parts[2] = {hash_bytes(source_id(named->source)), named->fingerprint};
        sum += hash_bytes(slice_make((const char *)parts, sizeof(parts)));
    }
    return sum;
}
