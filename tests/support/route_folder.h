/* A folder with certificates and a route file that is written, loaded and asked about. */
#ifndef TESTS_SUPPORT_ROUTE_FOLDER_H
#define TESTS_SUPPORT_ROUTE_FOLDER_H

#include "config/snapshot.h"

struct route_folder {
    char path[64]; /* absolute; holds routes.json and certs/ */
    char file[96];
    bool strict_certs;
    struct ticket_keys *keys;
    struct config *previous;   /* what loads share with; NULL: nothing */
    struct snapshot *snapshot; /* of the last load; NULL: refused */
    struct problems problems;
    char *printed; /* them, as `check` prints them */
};

/* certs/ has one certificate for *.test and localhost. */
void route_folder_init(struct route_folder *folder);
void route_folder_clear(struct route_folder *folder);

/* Loads a route file. In `text`, "'" stands for a double quote. */
void route_folder_load(struct route_folder *folder, const char *text);
/* The same inside { 'certs': 'certs', … }. */
void route_folder_load_with_certs(struct route_folder *folder, const char *text);
/* The same, and the test fails unless it loads without an error. */
const struct snapshot *route_folder_good(struct route_folder *folder, const char *text);

/* Writes a file below the folder. */
void route_folder_write(struct route_folder *folder, const char *name, const char *text);
/* Makes NAME.crt and NAME.key in certs/ for the names (separated by spaces; one that is an IP
 * address is an IP name), valid for that many days from now (negative: expired). */
void route_folder_certify(struct route_folder *folder, const char *name, const char *names,
                          int days);

/* Makes NAME, a PEM file with the certificate of an authority, another one each time. */
void route_folder_authority(struct route_folder *folder, const char *name);

/* The problem at that place (a column of 0: any) whose path, message and suggestion are or hold
 * these; NULL ones do not matter. The test fails when there is none. */
void route_folder_expect(const struct route_folder *folder, unsigned line, unsigned column,
                         const char *path, const char *message, const char *suggestion);

/* The route that requests for it are led to, or NULL. */
const struct route *route_folder_find(const struct route_folder *folder, const char *host,
                                      const char *path);

/* Everything that the snapshot says about serving, as text: what changes it changes something. */
char *snapshot_describe(const struct snapshot *snapshot);

#endif
