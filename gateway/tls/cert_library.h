/* Certificates as they were last read from their files: what did not change is neither read nor
 * parsed again, and what is broken now goes on being served as it was (quarantine).
 *
 * One thread loads at a time, whichever it is; the certificates are immutable and shared with all
 * threads, and outlive the library where they are still in use. */
#ifndef TLS_CERT_LIBRARY_H
#define TLS_CERT_LIBRARY_H

#include "tls/cert_store.h"

struct cert_library;

struct cert_library *cert_library_new(void);
void cert_library_free(struct cert_library *library);

/* All certificates of the sources, in the layouts of certs/README.md, ordered by the sources'
 * positions and then by path; a pair that is named twice is there once. Files are opened only where
 * the system says that they changed (or may have), and parsed, in parallel, only where their
 * content did.
 *
 * Never fails: what is broken goes to `problems`, together with what is served in its place:
 *
 *   - a pair that cannot be read or used, or of which half is gone: its certificate as last read;
 *   - an element of `certs` that is gone, empty or unreadable, a sub-folder that is unreadable: all
 *     that was last read from there.
 *
 * A pair of which nothing is left is dropped, unless `certs` names it by itself. */
struct cert_store *cert_library_load(struct cert_library *library,
                                     const struct cert_source *sources, size_t count,
                                     struct cert_problems *problems);

/* The last load is the one that is served: forgets what it did not find. Until then a certificate
 * of an earlier load can still stand in for broken files. */
void cert_library_commit(struct cert_library *library);

/* What the last load did: pairs looked at, those whose files were read, those that were parsed. */
struct cert_load_counts {
    size_t pairs, read, parsed;
};
struct cert_load_counts cert_library_counts(const struct cert_library *library);

#endif
