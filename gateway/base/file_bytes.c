#include "base/file_bytes.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int fd, char *into, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, into + done, size - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                errno = EIO; /* it shrank while it was read */
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

bool file_bytes_read(const char *path, size_t most, struct slice *bytes, bool *missing,
                     struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;

    *bytes = slice_make(NULL, 0);
    if (missing)
        *missing = fd < 0 && errno == ENOENT;
    if (fd < 0 || fstat(fd, &status) != 0) {
        error_set(error, "%s cannot be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        error_set(error, "%s is not a regular file", path);
    } else if ((uint64_t)status.st_size > most) {
        error_set(error, "%s is larger than %zu MiB; name a file with nothing but what is needed",
                  path, most / (1024 * 1024));
    } else {
        char *room = memory_new((size_t)status.st_size + 1);

        *bytes = slice_make(room, (size_t)status.st_size);
        if (read_all(fd, room, bytes->len)) {
            close(fd);
            return true;
        }
        error_set(error, "%s cannot be read: %s", path, strerror(errno));
        file_bytes_free(*bytes);
        *bytes = slice_make(NULL, 0);
    }
    close(fd);
    return false;
}

void file_bytes_free(struct slice bytes)
{
    if (!bytes.at)
        return;
    explicit_bzero((char *)bytes.at, bytes.len);
    free((char *)bytes.at);
}
