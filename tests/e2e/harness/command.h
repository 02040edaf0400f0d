/* A program run to its end, with what it printed and how it ended. */
#ifndef E2E_COMMAND_H
#define E2E_COMMAND_H

#include <stdbool.h>

struct command {
    char *out;
    char *err;
    int exit_code; /* 128 + signal when a signal ended it */
};

/* Runs argv[0] (looked up in PATH); arguments end with NULL. Killed, and the test failed, when it
 * outlives patience. */
struct command *command_run(const char *const *argv);
/* The same with what it reads on stdin and settings "NAME=value" for its environment
 * (NULL-terminated; may be NULL). */
struct command *command_run_with(const char *const *argv, const char *input,
                                 const char *const *environment);

/* The gateway's binary with these arguments: SALLYPORT("check", "-c", path). */
const char *sallyport_path(void);
#define SALLYPORT(...) command_run((const char *const[]){sallyport_path(), __VA_ARGS__, NULL})
#define COMMAND(...)   command_run((const char *const[]){__VA_ARGS__, NULL})

/* Whether a program can be found in PATH. */
bool command_exists(const char *name);

/* Fails the test, showing both outputs, unless it ended so. */
void command_expect(const struct command *command, int exit_code);
/* Fails the test unless the text is somewhere in what it printed (stdout or stderr). */
void command_says(const struct command *command, const char *words);

/* Fails the test when a sanitizer spoke in this text. */
void refuse_sanitizer_reports(const char *stderr_text);

#endif
