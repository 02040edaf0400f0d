#include "base/file_stamp.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

/* File systems write the time of the kernel's last tick, 10 ms ago at most, with some to spare.
 * Some keep whole seconds, or every other one. */
static const int64_t second_ns = 1000 * 1000 * 1000;
static const int64_t fresh_ns = 50 * 1000 * 1000, fresh_whole_ns = 2 * second_ns;

static int64_t to_ns(const struct timespec *time)
{
    return time->tv_sec * second_ns + time->tv_nsec;
}

struct file_stamp file_stamp_take(const char *path)
{
    struct stat status;

    if (path == NULL)
        return (struct file_stamp){.error = ENOENT};
    if (stat(path, &status) != 0)
        return (struct file_stamp){.error = errno};
    return (struct file_stamp){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .changed_ns = to_ns(&status.st_ctim),
        .written_ns = to_ns(&status.st_mtim),
    };
}

static bool is_fresh(int64_t time_ns, int64_t now_ns)
{
    return time_ns > now_ns - (time_ns % second_ns == 0 ? fresh_whole_ns : fresh_ns);
}

bool file_stamp_is_fresh(const struct file_stamp *stamp)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return is_fresh(stamp->changed_ns, to_ns(&now)) || is_fresh(stamp->written_ns, to_ns(&now));
}
