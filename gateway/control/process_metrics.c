#include "control/process_metrics.h"

#include "control/metrics_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct process_stat {
    uint64_t cpu_us, virtual_bytes, resident_bytes;
    uint64_t started_us; /* after the machine */
};

/* proc(5): behind the name, which may hold anything, in its brackets. */
static bool read_stat(struct process_stat *stat)
{
    char text[1024];
    uint64_t user, system, started, virtual_bytes, resident_pages;
    uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    char *rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest + 1,
                               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                               " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
                               &user, &system, &started, &virtual_bytes, &resident_pages) != 5)
        return false;
    stat->cpu_us = (user + system) * tick_us;
    stat->started_us = started * tick_us;
    stat->virtual_bytes = virtual_bytes;
    stat->resident_bytes = resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

/* What the machine's start was by the wall clock moves with it, by as little as that is set. */
static uint64_t boot_us(void)
{
    struct timespec wall, up;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (uint64_t)(wall.tv_sec - up.tv_sec) * 1000000 +
           (uint64_t)((wall.tv_nsec - up.tv_nsec) / 1000);
}

static uint64_t count_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (folder == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder itself */
}

static void print_files(struct buffer *out)
{
    struct rlimit limit;
    uint64_t open_files = count_open_files();

    if (open_files > 0)
        metrics_single(out, "process_open_fds", "gauge", "Open file descriptors.", open_files);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_single(out, "process_max_fds", "gauge", "Open file descriptors allowed.",
                       limit.rlim_cur);
}

void process_metrics_print(struct buffer *out)
{
    struct process_stat stat;
    struct metrics_family family;

    print_files(out);
    if (!read_stat(&stat))
        return;
    family = metrics_begin(out, "process_cpu_seconds_total", "counter",
                           "CPU time of the process, user and system.");
    metrics_sample_us(&family, stat.cpu_us);
    metrics_single(out, "process_resident_memory_bytes", "gauge", "Memory in RAM.",
                   stat.resident_bytes);
    metrics_single(out, "process_virtual_memory_bytes", "gauge", "Address space.",
                   stat.virtual_bytes);
    family = metrics_begin(out, "process_start_time_seconds", "gauge",
                           "When the process started, in seconds since 1970.");
    metrics_sample_us(&family, boot_us() + stat.started_us);
}
