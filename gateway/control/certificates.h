/* What there is to say of the certificates: one source for /status, /certs and the metrics. */
#ifndef CONTROL_CERTIFICATES_H
#define CONTROL_CERTIFICATES_H

#include "control/generations.h"

enum certificate_state {
    CERTIFICATE_SERVING,
    CERTIFICATE_EXPIRED,     /* served only where nothing else is */
    CERTIFICATE_QUARANTINED, /* its files are broken: served as it was last read, if it ever was */
    CERTIFICATE_STATES
};

struct certificate_row {
    const struct certificate *certificate; /* NULL: there never was a good one */
    const char *file;
    enum certificate_state state;
    const char *why;   /* quarantined: what is wrong; else NULL */
    int64_t since;     /* quarantined: seconds since 1970 */
    bool is_client_ca; /* quarantined: a file of authorities; what was read before is in force */
};

struct certificate_rows {
    struct certificate_row *list;
    size_t count;
};

/* Those that `snapshot` (NULL: none) serves, in its order, then the broken ones without anything to
 * serve. Lives in `arena`; borrows from the snapshot, but not from `broken`, which the next load
 * replaces. */
void certificates_list(struct arena *arena, const struct snapshot *snapshot,
                       const struct cert_problems *broken, struct certificate_rows *rows);

const char *certificate_state_name(enum certificate_state state);

/* What `certs` prints: each with the hosts of the route file that it answers for, and whether
 * another certificate will when it is out of date. `within_s`: only those that end within so many
 * seconds, or are quarantined; 0: all. */
void certificates_print(const struct snapshot *snapshot, const struct cert_problems *broken,
                        uint64_t within_s, bool as_text, struct buffer *out);

#endif
