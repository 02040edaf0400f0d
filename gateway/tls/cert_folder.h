/* Where certificates lie: the layouts of folders, turned into pairs of files. Inside tls/ alone. */
#ifndef TLS_CERT_FOLDER_H
#define TLS_CERT_FOLDER_H

#include "tls/cert_store.h"

/* Files that belong together; `key` may be the chain's file. */
struct cert_pair {
    char *chain, *key;
    unsigned position;
};

/* What is not there as it should be: what was known from there is not to be taken for deleted. */
enum cert_loss_kind {
    CERT_LOSS_FOLDER,   /* cannot be read, or holds nothing any more */
    CERT_LOSS_SOURCE,   /* an element of `certs`, a file or a folder, that is not there */
    CERT_LOSS_KEY_ALONE /* a NAME.key whose certificate is missing */
};

struct cert_loss {
    enum cert_loss_kind kind;
    bool is_quiet; /* no problem, unless something was known from there */
    char *path, *message;
    unsigned position;
};

struct cert_findings {
    struct cert_pair *pairs;
    size_t pair_count;
    struct cert_loss *losses;
    size_t loss_count;
};

/* Adds what the source names, a folder's in the order of the file names:
 *
 *     NAME.pem, NAME.crt          with NAME.key beside it, else with the key in the same file
 *     fullchain.pem, privkey.pem  as certbot names them; its cert.pem and chain.pem are passed over
 *     tls.crt, tls.key            as Kubernetes names them; a ca.crt beside them is passed over
 *
 * and the same in its sub-folders, one level deep, in those of a sub-folder "live" as well (beside
 * which certbot's "keys" and "csr" are passed over). Names that begin with a dot are passed over,
 * symlinks followed, also those that lead nowhere (reading them fails). What goes while it is being
 * looked at was not there. */
void cert_folder_find(const struct cert_source *source, struct cert_findings *findings);
void cert_findings_clear(struct cert_findings *findings);

/* The path without what follows the last dot of its last name. */
struct slice cert_path_stem(const char *path);
/* "a/b.crt", ".key" -> "a/b.key"; on the heap. */
char *cert_path_beside(const char *path, const char *suffix);

#endif
