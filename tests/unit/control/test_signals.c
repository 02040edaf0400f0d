#include "control/signals.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    int numbers[16], count, until;
};

static void see(void *owner, int number)
{
    struct seen *seen = owner;
    seen->numbers[seen->count++] = number;
    if (seen->count == seen->until)
        loop_stop(seen->loop);
}

static bool was_seen(const struct seen *seen, int number)
{
    for (int i = 0; i < seen->count; i++)
        if (seen->numbers[i] == number)
            return true;
    return false;
}

Test(signals, come_as_tasks_of_the_loop)
{
    struct seen seen = {.loop = loop_new(), .until = 5};
    struct error error;
    signals_block();
    struct signals *signals = signals_new(seen.loop, see, &seen, &error);
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1};
    for (int i = 0; i < 5; i++)
        kill(getpid(), numbers[i]);
    cr_assert_eq(seen.count, 0, "not here and now");
    loop_run(seen.loop);
    for (int i = 0; i < 5; i++)
        cr_expect(was_seen(&seen, numbers[i]));
    signals_free(signals);
    loop_free(seen.loop);
}

Test(signals, a_broken_pipe_is_an_error_and_no_signal)
{
    signals_block();
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_eq(write(ends[1], "x", 1), -1);
    close(ends[1]);
}

Test(signals, which_ones_end)
{
    cr_expect(signal_ends(SIGTERM) && signal_ends(SIGINT) && signal_ends(SIGQUIT));
    cr_expect_not(signal_ends(SIGHUP) || signal_ends(SIGUSR1));
}

Test(signals, at_the_end_one_ends_the_process_and_removes_the_socket)
{
    char path[] = "/tmp/signals-XXXXXX";
    close(mkstemp(path));
    pid_t child = fork();
    if (child == 0) {
        signals_block();
        kill(getpid(), SIGTERM); /* one that waits counts too */
        signals_exit_at_once(path);
        for (;;)
            pause();
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status));
    cr_expect_eq(WEXITSTATUS(status), 1);
    cr_expect_neq(access(path, F_OK), 0);
}
