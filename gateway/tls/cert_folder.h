/* Where certificates lie: the layouts of folders, turned into pairs of files. Inside tls/ alone. */
#ifndef TLS_CERT_FOLDER_H
#define TLS_CERT_FOLDER_H

#include "tls/cert_store.h"

/* Files that belong together. The OCSP file need not exist; `key` may be the chain's file. */
struct cert_pair {
    char *chain, *key, *ocsp;
    unsigned position;
};

struct cert_pairs {
    struct cert_pair *list;
    size_t count;
};

/* Adds what the source names, a folder's in the order of the file names:
 *
 *     NAME.pem, NAME.crt          with NAME.key beside it, else with the key in the same file
 *     fullchain.pem, privkey.pem  as certbot names them; its cert.pem and chain.pem are passed over
 *     tls.crt, tls.key            as Kubernetes names them; a ca.crt beside them is passed over
 *
 * and the same in its sub-folders, one level deep, in those of a sub-folder "live" as well (beside
 * which certbot's "keys" and "csr" are passed over). Names that begin with a dot are passed over,
 * symlinks followed. What is half there, cannot be read or is not there at all becomes a problem.
 */
void cert_folder_find(const struct cert_source *source, struct cert_pairs *pairs,
                      struct cert_problems *problems);
void cert_pairs_clear(struct cert_pairs *pairs);

/* Takes no ownership of its arguments. */
void cert_problems_add(struct cert_problems *problems, const char *file, unsigned position,
                       const char *message);

#endif
