#include "policy/rewrite.h"

static struct slice strip(struct slice path, struct slice prefix)
{
    if (!slice_starts_with(path, prefix))
        return path;
    if (path.len == prefix.len)
        return slice_of("/");
    return path.at[prefix.len] == '/' ? slice_skip(path, prefix.len) : path;
}

struct slice rewrite_path(const struct rewrite *rewrite, struct arena *arena, struct slice path)
{
    struct slice prefix = rewrite->add_prefix;
    char *text;

    if (!slice_starts_with(path, slice_of("/")))
        return path;
    if (rewrite->strip_prefix.len > 0)
        path = strip(path, rewrite->strip_prefix);
    if (prefix.len == 0)
        return path;
    text = arena_bytes(arena, prefix.len + path.len);
    memcpy(text, prefix.at, prefix.len);
    memcpy(text + prefix.len, path.at, path.len);
    return slice_make(text, prefix.len + path.len);
}
