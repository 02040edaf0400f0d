/* Who may come in: clients' connections and handshakes in progress, held against their limits for
 * the whole process.
 *
 * Over a limit the newest is refused, and what is there already stays. Exact with any number of
 * workers, and after a reload that sets a limit too: everything is counted whether there is a limit
 * or not. Any thread.
 *
 * What takes several is taken narrowest first (address, handshake, connection), so that one that
 * is refused has not for a moment kept out others that its own limit does not concern. */
#ifndef PROXY_ADMISSION_H
#define PROXY_ADMISSION_H

#include "config/snapshot.h"
#include "proxy/address_counts.h"

struct admission;

enum refusal {
    REFUSAL_NONE,
    REFUSAL_CONNECTIONS,
    REFUSAL_CONNECTIONS_PER_IP,
    REFUSAL_HANDSHAKES,
    REFUSAL_DESCRIPTORS, /* see net/descriptors.h */
    REFUSAL_MEMORY,
    REFUSAL_COUNT
};

/* What one connection holds; all zeroes is nothing. Its owner gives it back once, by
 * admission_leave. */
struct admission_pass {
    struct address_key address; /* that it is charged to; nobody yet, or never */
    bool is_connection;
    bool is_handshake;
};

/* NULL: no memory. */
struct admission *admission_new(void);
/* Everybody has left. */
void admission_free(struct admission *admission);

/* Somebody at the door. */
struct arrival {
    int fd; /* just accepted */
    bool shakes_hands;
    const struct address *peer; /* NULL: charged later, by admission_charge */
    uint64_t now_ms;
};

/* Lets a connection in, or says why not and leaves the pass empty. */
enum refusal admission_enter(struct admission *admission, const struct client_limits *limits,
                             const struct arrival *arrival, struct admission_pass *pass);
/* For a connection that came in without an address, since a PROXY header is to tell it: once. When
 * it is refused the pass holds what it held. */
enum refusal admission_charge(struct admission *admission, const struct client_limits *limits,
                              const struct address *peer, uint64_t now_ms,
                              struct admission_pass *pass);
/* Its handshake is over, well or not; nothing if it had none. */
void admission_end_handshake(struct admission *admission, struct admission_pass *pass);
/* It has ended: gives back all it holds. */
void admission_leave(struct admission *admission, struct admission_pass *pass);

/* HTTP/2: a request beyond the first of its connection, which may need a descriptor for a backend
 * that net/descriptors.h has not set aside for anybody. Those count as clients do, so that
 * newcomers find some. False: there is none for it. */
bool admission_enter_request(struct admission *admission, const struct client_limits *limits,
                             const struct address *peer, uint64_t now_ms);
void admission_leave_requests(struct admission *admission, unsigned count);

/* For what is refused elsewhere, for want of memory: the event that tells it. */
void admission_note_refusal(struct admission *admission, const struct client_limits *limits,
                            enum refusal refusal, const struct arrival *arrival);

/* A connection of HTTP/2 was ended for the work for nothing that its client made: the event that
 * tells it, at most once a minute. */
void admission_note_flood(struct admission *admission, const struct address *peer, uint64_t now_ms);

unsigned admission_connections(const struct admission *admission);
unsigned admission_handshakes(const struct admission *admission);
unsigned admission_requests(const struct admission *admission);
size_t admission_addresses(const struct admission *admission);

#endif
