/* What policies take from outside the route file, looked at for a snapshot. */
#ifndef CONFIG_BUILD_SOURCES_H
#define CONFIG_BUILD_SOURCES_H

#include "config/reader.h"
#include "config/snapshot.h"
#include "policy/source.h"

/* For readers of policies: the source at a path or, where `takes_urls`, a URL, which is the
 * policy's from now on. NULL: it is none, which is a problem. */
struct source *read_source(struct reader *reader, const struct json_node *node,
                           enum source_kind kind, bool takes_urls, struct policy *policy);

/* Looks at every file that the policies of the snapshot's routes name, as it is now; what is wrong
 * with one is a warning, and where it cannot be used at all an error if it `must_be_usable`. */
void build_sources(struct snapshot *snapshot, bool must_be_usable, struct problems *problems);
/* Of all of them together; 0: none. */
uint64_t sources_fingerprint(const struct snapshot *snapshot);

#endif
