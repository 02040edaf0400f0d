/* What the system says of a file without opening it: whether it may have changed since. */
#ifndef BASE_FILE_STAMP_H
#define BASE_FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Without padding: equal ones have equal bytes. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t changed_ns, written_ns;
    int64_t error; /* of stat; 0: it is there */
};

/* NULL: a file that is not there. */
struct file_stamp file_stamp_take(const char *path);

/* Of one that was taken just now: it changed so recently that another change could leave the same
 * stamp. */
bool file_stamp_is_fresh(const struct file_stamp *stamp);

#endif
