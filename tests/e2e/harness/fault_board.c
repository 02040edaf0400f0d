#include "fault_board.h"

#include "command.h"
#include "workplace.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void unmap(void *board)
{
    munmap(board, sizeof(struct faults));
}

const char *fault_board_path(void)
{
    return workplace_path("faults");
}

const char *fault_library(void)
{
    const char *none = getenv("SALLYPORT_TEST_FAULTS"), *gateway = sallyport_path();

    if (none != NULL && strcmp(none, "none") == 0)
        return NULL;
    return text("%.*stests/sallyport_faults.so", (int)(strrchr(gateway, '/') + 1 - gateway),
                gateway);
}

struct faults *fault_board(void)
{
    if (fault_library() == NULL)
        cr_skip_test("TSan's allocator does not start with another library loaded before it");
    int fd = open(fault_board_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *board = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct faults)) == 0)
        board = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    workplace_require(board != MAP_FAILED, "no file for the faults");
    close(fd);
    return workplace_own(board, unmap);
}

void fault_set(struct faults *faults, enum fault fault, unsigned per_million, int error)
{
    atomic_store(&faults->rules[fault].error, error);
    atomic_store(&faults->rules[fault].per_million, per_million);
}

void fault_shorten(struct faults *faults, enum fault fault, unsigned per_million, unsigned bytes)
{
    atomic_store(&faults->rules[fault].error, 0);
    atomic_store(&faults->rules[fault].most_bytes, bytes);
    atomic_store(&faults->rules[fault].per_million, per_million);
}

void fault_end(struct faults *faults, enum fault fault)
{
    atomic_store(&faults->rules[fault].per_million, 0);
}

unsigned long fault_strikes(struct faults *faults, enum fault fault)
{
    return atomic_load(&faults->rules[fault].strikes);
}
