#include "net/small_file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct small_file {
    struct job job;
    bool was_refused; /* too many are being read, or there is no memory */
    bool was_read;
    char *content;
    size_t length;
    char path[]; /* terminated */
};

/* --- on a helper -------------------------------------------------------------------------- */

/* Reads to the end; false when it fails or there is more than `most`, whatever fstat said. */
static bool read_whole(int fd, char *into, size_t most, size_t *length)
{
    *length = 0;
    for (;;) {
        ssize_t got = read(fd, into + *length, most + 1 - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        *length += (size_t)got;
        if (*length > most)
            return false;
    }
}

static void read_file(struct job *job)
{
    struct small_file *file = container_of(job, struct small_file, job);
    struct stat info;
    /* O_NONBLOCK: a FIFO that nobody writes to must not hold the helper. */
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= SMALL_FILE_MAX) {
        size_t most = (size_t)info.st_size;
        file->content = memory_try(most + 1);
        file->was_refused = file->content == NULL;
        file->was_read = !file->was_refused && read_whole(fd, file->content, most, &file->length);
    }
    close(fd);
}

/* --- on the asking thread ----------------------------------------------------------------- */

static void free_file(struct job *job)
{
    struct small_file *file = container_of(job, struct small_file, job);

    free(file->content);
    free(file);
}

struct small_file *small_file_start(struct jobs *jobs, struct loop *loop, struct slice path,
                                    struct task *task)
{
    struct small_file *file = memory_try(sizeof(*file) + path.len + 1);
    if (file == NULL)
        return NULL;

    memcpy(file->path, path.at, path.len);
    file->job.work = read_file;
    file->job.free_job = free_file;
    file->was_refused = !job_start(jobs, &file->job, loop, task);
    return file;
}

enum io small_file_answer(struct small_file *file, struct slice *content)
{
    if (!job_is_done(&file->job))
        return IO_WAIT;
    if (file->was_refused)
        return IO_ERROR;
    if (!file->was_read)
        return IO_EOF;
    *content = slice_make(file->content, file->length);
    return IO_OK;
}

void small_file_end(struct small_file *file)
{
    job_end(&file->job);
}
