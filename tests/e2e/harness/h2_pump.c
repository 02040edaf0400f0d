#include "h2_pump.h"

#include "monitor.h"
#include "workplace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct h2_pumped {
    int fd;
    bool (*run)(void *arg);
    void *arg;
    struct h2_pumped *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int queue;
static struct h2_pumped *all; /* under the monitor's lock */

/* One that was removed since its event came is in the list no more. */
static bool run_if_there(const void *which)
{
    struct h2_pumped *pumped = all;

    while (pumped != NULL && pumped != which)
        pumped = pumped->next;
    return pumped != NULL && pumped->run(pumped->arg);
}

static void *pump(void *unused)
{
    struct epoll_event events[64];

    (void)unused;
    for (;;) {
        int count = epoll_wait(queue, events, 64, -1);
        if (count < 0 && errno != EINTR)
            abort();
        bool is_news = false;
        monitor_lock();
        for (int i = 0; i < count; i++)
            is_news |= run_if_there(events[i].data.ptr);
        if (is_news)
            monitor_changed();
        monitor_unlock();
    }
    return NULL;
}

static void begin(void)
{
    pthread_t thread;

    queue = epoll_create1(EPOLL_CLOEXEC);
    if (queue < 0 || pthread_create(&thread, NULL, pump, NULL) != 0)
        abort();
    pthread_detach(thread);
}

struct h2_pumped *h2_pump_add(int fd, bool (*run)(void *arg), void *arg)
{
    struct h2_pumped *pumped = malloc(sizeof *pumped);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = pumped};

    pthread_once(&once, begin);
    if (pumped == NULL)
        abort();
    monitor_lock();
    *pumped = (struct h2_pumped){.fd = fd, .run = run, .arg = arg, .next = all};
    all = pumped;
    workplace_require(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) == 0, "cannot wait for %d: %s",
                      fd, strerror(errno));
    monitor_unlock();
    return pumped;
}

void h2_pump_remove(struct h2_pumped *pumped)
{
    struct h2_pumped **link = &all;

    while (*link != pumped)
        link = &(*link)->next;
    *link = pumped->next;
    epoll_ctl(queue, EPOLL_CTL_DEL, pumped->fd, NULL);
    free(pumped);
}
