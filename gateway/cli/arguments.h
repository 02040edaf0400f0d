/* The command line as values. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Which options a command takes, as bits. */
enum option {
    OPTION_CONFIG = 1,
    OPTION_WORKERS = 2,
    OPTION_JSON = 4,
    OPTION_ADMIN = 8,
    OPTION_WITHIN = 16,
};

struct command;

struct arguments {
    const struct command *command;
    const char *operand; /* of `help`; NULL: none */
    const char *config;  /* as named with -c, else found where one is looked for; NULL: none */
    const char *admin;   /* NULL: not named */
    unsigned workers;    /* 0: not named */
    uint64_t within_ms;  /* 0: not named */
    bool as_json;
};

/* False, with what is wrong and the nearest thing that would be right. Everything is borrowed from
 * `argv` and the environment. */
bool arguments_parse(struct arguments *arguments, int argc, char **argv, struct error *error);

#endif
