/* The commands there are, and what `help` says of them. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/arguments.h"

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,  /* at run time */
    EXIT_USAGE = 2,   /* the command line is wrong */
    EXIT_INVALID = 3, /* the route file, a certificate or a route test is */
    EXIT_CHANGES = 4, /* `diff` found some */
};

struct command {
    const char *name;
    const char *summary; /* one line */
    const char *help;    /* more lines */
    unsigned options;    /* enum option */
    bool takes_operand;
    const char *operand; /* how help calls one that must be there; NULL: it may be left out */
    unsigned instead;    /* options that may stand in its place */
    int (*run)(const struct arguments *arguments);
};

/* NULL when there is none of that name. */
const struct command *command_find(const char *name);
/* The nearest name that can be run, or NULL. */
const char *command_nearest(const char *name, char nearest[32]);
/* For walking; NULL at the end. */
const struct command *command_at(unsigned index);

int command_run(const struct arguments *arguments);
int command_check(const struct arguments *arguments);
int command_explain(const struct arguments *arguments);
int command_diff(const struct arguments *arguments);
int command_reload(const struct arguments *arguments);
int command_status(const struct arguments *arguments);
int command_purge(const struct arguments *arguments);
int command_certs(const struct arguments *arguments);
int command_healthcheck(const struct arguments *arguments);
int command_help(const struct arguments *arguments);
int command_version(const struct arguments *arguments);

/* The whole of it: parses, runs, returns the exit code. */
int command_line_run(int argc, char **argv);

#endif
