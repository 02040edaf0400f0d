/* The files of one certificate: when they changed last, and what is in them. Inside tls/ alone. */
#ifndef TLS_CERT_FILES_H
#define TLS_CERT_FILES_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* `key` may be the chain's file; `ocsp` may be NULL or name a file that does not exist. */
struct cert_paths {
    const char *chain, *key, *ocsp;
};

/* What the system says of the files without opening them. */
struct cert_stamps {
    uint64_t digest; /* of device, inode, size, and both times of all; absence counts, too */
    bool is_fresh;   /* changed so recently that another change could leave the same times */
};
struct cert_stamps cert_stamps_take(const struct cert_paths *paths);

struct cert_bytes {
    struct slice chain, key, ocsp; /* key: empty when it is in the chain's file */
    bool lacks_ocsp;               /* it is there, but cannot be read */
};

/* All of it, to be given back by cert_bytes_clear. False, with `bytes` empty and an error that
 * names the file, when the chain or the key cannot be read. */
bool cert_bytes_read(const struct cert_paths *paths, struct cert_bytes *bytes, struct error *error);
/* Equal for the same content. */
uint64_t cert_bytes_fingerprint(const struct cert_bytes *bytes);
void cert_bytes_clear(struct cert_bytes *bytes);

#endif
