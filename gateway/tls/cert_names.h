/* The names in a certificate's subjectAltName. Inside tls/ alone. */
#ifndef TLS_CERT_NAMES_H
#define TLS_CERT_NAMES_H

#include "base/slice.h"

#include <openssl/x509.h>

struct cert_names {
    struct slice *list; /* each on the heap, terminated */
    size_t count;
};

/* DNS names lower-case without a trailing dot ("*." only in front), IP addresses as inet_ntop
 * writes them. What is no name a client could ask for (other wildcards, non-ASCII, an IP address as
 * a DNS name) is left out. False when the extension does not parse. */
bool cert_names_read(const X509 *x509, struct cert_names *names);
void cert_names_clear(struct cert_names *names);

/* SHA-256 over the names, whatever their order. */
void cert_names_hash(const struct cert_names *names, uint8_t hash[32]);

/* The host in the form that names have: an IP literal as inet_ntop writes it (into `room`), else as
 * it is. *is_ip says which. */
enum { IP_TEXT_ROOM = 64 };
struct slice host_for_names(struct slice host, char room[IP_TEXT_ROOM], bool *is_ip);

/* What a wildcard for the host would look like behind its "*": "a.b.c" -> ".b.c"; empty when none
 * could be. */
struct slice host_parent(struct slice host);

#endif
