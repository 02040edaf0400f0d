/* The command line as values. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "base/error.h"
#include "config/explain_question.h"

#include <stdbool.h>
#include <stdint.h>

/* Which options a command takes, as bits. */
enum option {
    OPTION_CONFIG = 1,
    OPTION_WORKERS = 2,
    OPTION_JSON = 4,
    OPTION_ADMIN = 8,
    OPTION_SNI = 16,
    OPTION_NO_SNI = 32,
    OPTION_METHOD = 64,
    OPTION_HEADER = 128,
    OPTION_IP = 256,
    OPTION_LIVE = 512,
    OPTION_WITHIN = 1024,
    OPTION_PREFIX = 2048,
    OPTION_TAG = 4096,
    OPTION_ALL = 8192,
};

/* What asks `explain`. */
enum {
    OPTIONS_OF_EXPLAIN =
        OPTION_SNI | OPTION_NO_SNI | OPTION_METHOD | OPTION_HEADER | OPTION_IP | OPTION_LIVE
};

/* What `purge` takes in place of a URL. */
enum { OPTIONS_OF_PURGE = OPTION_PREFIX | OPTION_TAG | OPTION_ALL };

struct command;

struct arguments {
    const struct command *command;
    const char *operand;      /* the word behind the command; NULL: none */
    const char *config;       /* as named with -c, else found where one is looked for; NULL: none */
    const char *admin;        /* NULL: not named */
    unsigned workers;         /* 0: not named */
    uint64_t within_ms;       /* 0: not named */
    const char *prefix, *tag; /* NULL: not named */
    bool as_json, is_all;

    struct explain_question question; /* its url is the operand */
    bool is_live;
};

/* False, with what is wrong and the nearest thing that would be right. Everything is borrowed from
 * `argv` and the environment. */
bool arguments_parse(struct arguments *arguments, int argc, char **argv, struct error *error);

#endif
