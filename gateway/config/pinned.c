#include "config/pinned.h"

#include "base/slice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A line of mountinfo: "ID PARENT MAJOR:MINOR ROOT …"; the kernel marks a root without a name. */
static bool says_deleted(const char *line, uint64_t mount)
{
    unsigned long long id;
    int root = 0;
    if (sscanf(line, "%llu %*s %*s %n", &id, &root) != 1 || root == 0 || id != mount)
        return false;
    size_t length = strcspn(line + root, " ");
    return slice_ends_with(slice_make(line + root, length), slice_of("//deleted"));
}

/* Other names of the file may be left, where its own is gone. */
static bool has_lost_its_name(uint64_t mount)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    bool is_deleted = false;
    if (mounts == NULL)
        return false;
    while (!is_deleted && getline(&line, &size, mounts) > 0)
        is_deleted = says_deleted(line, mount);
    free(line);
    fclose(mounts);
    return is_deleted;
}

enum pinned_state pinned_state(const char *path)
{
    struct statx status;
    if (statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_NLINK | STATX_MNT_ID, &status) != 0 ||
        !S_ISREG(status.stx_mode) || !(status.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return PINNED_NOT;
    if (status.stx_nlink == 0)
        return PINNED_STALE;
    return (status.stx_mask & STATX_MNT_ID) != 0 && has_lost_its_name(status.stx_mnt_id)
               ? PINNED_STALE
               : PINNED_CURRENT;
}
