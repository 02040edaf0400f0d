/* The route file as the command line and the environment name it. */
#ifndef CLI_ROUTE_FILE_H
#define CLI_ROUTE_FILE_H

#include "cli/arguments.h"
#include "net/address.h"

/* False, having said where one is looked for, if none was named and none is there. */
bool route_file_is_named(const struct arguments *arguments);

enum { PEEKED_MAX = 8 };

/* What a key of `listen` says, read without checking anything else: the rest of the file may be
 * wrong while a gateway runs. */
struct peeked_listen {
    bool is_named;  /* the key is there */
    unsigned count; /* 0 with is_named: "off" */
    char addresses[PEEKED_MAX][ADDRESS_TEXT_SIZE];
};

/* False when the file is not there or is no JSON. */
bool route_file_peek(const char *file, const char *kind, struct peeked_listen *peeked);

#endif
