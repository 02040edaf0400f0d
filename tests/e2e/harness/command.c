#include "command.h"

#include "monitor.h"
#include "workplace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct capture {
    int fd;
    char *bytes;
    size_t length;
};

static void run_child(const char *const *argv, const char *const *environment, const int *in,
                      const int *out, const int *err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    for (int i = 0; environment != NULL && environment[i] != NULL; i++)
        putenv((char *)(size_t)environment[i]);
    execvp(argv[0], (char *const *)(size_t)argv);
    _exit(127);
}

/* Reads a piece; at the end closes the descriptor and marks it -1. */
static void drain(struct capture *capture)
{
    capture->bytes = realloc(capture->bytes, capture->length + 65537);
    if (capture->bytes == NULL)
        abort();
    ssize_t got = read(capture->fd, capture->bytes + capture->length, 65536);
    if (got > 0)
        capture->length += (size_t)got;
    capture->bytes[capture->length] = '\0';
    if (got <= 0) {
        close(capture->fd);
        capture->fd = -1;
    }
}

static void feed(int fd, const char *input)
{
    size_t length = input != NULL ? strlen(input) : 0;

    /* Inputs are shorter than a pipe holds. */
    workplace_require(length <= 60000 &&
                          write(fd, input != NULL ? input : "", length) == (ssize_t)length,
                      "cannot feed a command");
    close(fd);
}

static int finish(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct command *command_run_with(const char *const *argv, const char *input,
                                 const char *const *environment)
{
    struct command *command = workplace_own(calloc(1, sizeof *command), free);
    int in[2];
    int out[2];
    int err[2];

    workplace_require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
                          pipe2(err, O_CLOEXEC) == 0,
                      "no pipe");
    pid_t child = fork();
    workplace_require(child >= 0, "no process for %s", argv[0]);
    if (child == 0)
        run_child(argv, environment, in, out, err);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    feed(in[1], input);

    struct capture captures[2] = {{.fd = out[0]}, {.fd = err[0]}};
    long long until = monitor_now_ms() + 3LL * monitor_patience_ms();
    while (captures[0].fd >= 0 || captures[1].fd >= 0) {
        struct pollfd ready[2] = {{.fd = captures[0].fd, .events = POLLIN},
                                  {.fd = captures[1].fd, .events = POLLIN}};
        long long left = until - monitor_now_ms();
        if (left <= 0 || poll(ready, 2, (int)left) == 0) {
            kill(child, SIGKILL);
            finish(child);
            workplace_fail("%s %s did not end\n%s", argv[0], argv[1],
                           captures[1].bytes ? captures[1].bytes : "");
        }
        for (int i = 0; i < 2; i++) {
            if (captures[i].fd >= 0 && ready[i].revents != 0)
                drain(&captures[i]);
        }
    }
    command->exit_code = finish(child);
    command->out = workplace_own(captures[0].bytes, free);
    command->err = workplace_own(captures[1].bytes, free);
    refuse_sanitizer_reports(command->err);
    return command;
}

struct command *command_run(const char *const *argv)
{
    return command_run_with(argv, NULL, NULL);
}

const char *sallyport_path(void)
{
    const char *path = getenv("SALLYPORT_BIN");

    workplace_require(path != NULL && access(path, X_OK) == 0,
                      "SALLYPORT_BIN must name the gateway's binary");
    return path;
}

bool command_exists(const char *name)
{
    const char *path = getenv("PATH");
    char candidate[4096];

    for (; path != NULL && *path != '\0'; path += strcspn(path, ":"), path += *path == ':') {
        snprintf(candidate, sizeof candidate, "%.*s/%s", (int)strcspn(path, ":"), path, name);
        if (access(candidate, X_OK) == 0)
            return true;
    }
    return false;
}

void command_expect(const struct command *command, int exit_code)
{
    workplace_require(command->exit_code == exit_code, "exit %d, not %d\nstdout: %s\nstderr: %s",
                      command->exit_code, exit_code, command->out, command->err);
}

void command_says(const struct command *command, const char *words)
{
    workplace_require(strstr(command->out, words) != NULL || strstr(command->err, words) != NULL,
                      "nothing about '%s'\nstdout: %s\nstderr: %s", words, command->out,
                      command->err);
}

void refuse_sanitizer_reports(const char *stderr_text)
{
    static const char *const reports[] = {"LeakSanitizer", "AddressSanitizer", "ThreadSanitizer",
                                          "runtime error:"};

    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        const char *found = strstr(stderr_text, reports[i]);
        workplace_require(found == NULL, "a sanitizer spoke: %.3500s", found);
    }
}
