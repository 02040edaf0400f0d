#include "control/signals.h"

#include "net/fd_watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <unistd.h>

struct signals {
    int fd;
    struct fd_watch *watch;
    struct task task;
    void (*on_signal)(void *owner, int number);
    void *owner;
};

static const int ending[] = {SIGTERM, SIGINT, SIGQUIT};
enum { ENDING_COUNT = sizeof(ending) / sizeof(ending[0]) };

static char socket_to_remove[sizeof(((struct sockaddr_un *)0)->sun_path)];

bool signal_ends(int number)
{
    for (int i = 0; i < ENDING_COUNT; i++)
        if (number == ending[i])
            return true;
    return false;
}

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < ENDING_COUNT; i++)
        sigaddset(&set, ending[i]);
    return set;
}

static sigset_t answered_signals(void)
{
    sigset_t set = ending_signals();
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

void signals_block(void)
{
    sigset_t set = answered_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void read_signals(void *owner)
{
    struct signals *signals = owner;
    struct signalfd_siginfo info;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->on_signal(signals->owner, (int)info.ssi_signo);
}

struct signals *signals_new(struct loop *loop, void (*on_signal)(void *owner, int number),
                            void *owner, struct error *error)
{
    sigset_t set = answered_signals();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        error_set(error, "cannot watch for signals: %s", strerror(errno));
        return NULL;
    }
    struct signals *signals = memory_new(sizeof(*signals));
    signals->fd = fd;
    signals->on_signal = on_signal;
    signals->owner = owner;
    task_init(&signals->task, read_signals, signals);
    signals->watch = fd_watch_new(loop, fd, &signals->task);
    return signals;
}

void signals_free(struct signals *signals)
{
    if (signals == NULL)
        return;
    fd_watch_free(signals->watch);
    close(signals->fd);
    free(signals);
}

static void exit_at_once(int number)
{
    (void)number;
    if (socket_to_remove[0] != '\0')
        unlink(socket_to_remove);
    _exit(1);
}

void signals_exit_at_once(const char *socket_path)
{
    if (socket_path != NULL)
        snprintf(socket_to_remove, sizeof(socket_to_remove), "%s", socket_path);
    struct sigaction action = {.sa_handler = exit_at_once};
    for (int i = 0; i < ENDING_COUNT; i++)
        sigaction(ending[i], &action, NULL);
    sigset_t set = ending_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
