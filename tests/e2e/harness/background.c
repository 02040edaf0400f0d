#include "background.h"

#include "monitor.h"
#include "wire.h"
#include "workplace.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct background {
    pid_t pid;
    const char *log;
};

static void end_program(void *object)
{
    background_kill(object);
    free(object);
}

void background_kill(struct background *program)
{
    if (program->pid > 0) {
        kill(program->pid, SIGKILL);
        waitpid(program->pid, NULL, 0);
    }
    program->pid = 0;
}

void background_signal(struct background *program, int signal_number)
{
    kill(program->pid, signal_number);
}

struct background *background_start(const char *const *argv, const char *const *environment)
{
    struct background *program = workplace_own(calloc(1, sizeof *program), end_program);

    program->log = workplace_path("%s.log", argv[0]);
    program->pid = fork();
    workplace_require(program->pid >= 0, "no process for %s", argv[0]);
    if (program->pid > 0)
        return program;
    int log = open(program->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (; *environment != NULL; environment++)
        putenv((char *)*environment);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

void background_wait_word(const struct background *program, const char *word)
{
    long long start = monitor_now_ms();
    const char *said = NULL;

    while ((said = workplace_read(program->log)) == NULL || strstr(said, word) == NULL)
        workplace_require(monitor_may_ask_again(start), "'%s' never came:\n%s", word,
                          said != NULL ? said : "");
}

void background_wait_address(const struct background *program, const char *address)
{
    long long start = monitor_now_ms();
    int fd;

    while ((fd = wire_dial(address, false)) < 0)
        workplace_require(monitor_may_ask_again(start), "nobody listens on %s:\n%s", address,
                          workplace_read(program->log));
    close(fd);
}
