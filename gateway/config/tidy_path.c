#include "config/tidy_path.h"

#include <sys/stat.h>

/* Whether ".." behind it is where it lies: not so behind a symlink. */
static bool is_plain_folder(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

struct slice tidy_path(struct arena *arena, struct slice path)
{
    char *text = arena_bytes(arena, path.len + 2);
    size_t length = 0;

    while (path.len > 0) {
        ptrdiff_t slash = slice_find(path, '/');
        struct slice step = slice_make(path.at, slash < 0 ? path.len : (size_t)slash);
        path = slice_skip(path, slash < 0 ? path.len : (size_t)slash + 1);
        text[length] = '\0';
        if (step.len == 0 || slice_equal(step, slice_of(".")))
            continue;
        if (slice_equal(step, slice_of("..")) && (length == 0 || is_plain_folder(text))) {
            while (length > 0 && text[--length] != '/')
                ;
            continue;
        }
        text[length++] = '/';
        memcpy(text + length, step.at, step.len);
        length += step.len;
    }
    if (length == 0)
        text[length++] = '/';
    text[length] = '\0';
    return slice_make(text, length);
}
