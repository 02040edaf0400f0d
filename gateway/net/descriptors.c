#include "net/descriptors.h"

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

static uint32_t open_most = INT_MAX;

void descriptors_begin(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    else if (limit.rlim_cur != limit.rlim_max)
        log_event(LOG_WARN, "fd_limit", "the limit on open files cannot be raised to %llu: %s",
                  (unsigned long long)limit.rlim_max, strerror(errno));
    open_most = limit.rlim_cur < INT_MAX ? (uint32_t)limit.rlim_cur : INT_MAX;
}

uint32_t descriptors_limit(void)
{
    return open_most;
}

uint32_t descriptors_for_clients(void)
{
    return open_most / 16 * 7 + open_most % 16 * 7 / 16;
}

bool descriptor_is_reserve(int fd)
{
    return (uint32_t)fd >= open_most - open_most / 8;
}
