/* The path that a backend gets instead of the client's. */
#ifndef POLICY_REWRITE_H
#define POLICY_REWRITE_H

#include "base/arena.h"

/* Both normalised like paths of requests, without a slash at the end; empty: off. */
struct rewrite {
    struct slice strip_prefix, add_prefix;
};

/* strip_prefix is cut off where a segment ends, then add_prefix is put in front. `path` is
 * normalised, and so is what comes of it; "*" stays. In the arena, or borrowed. */
struct slice rewrite_path(const struct rewrite *rewrite, struct arena *arena, struct slice path);

#endif
