/* The authorities that clients' certificates are held against: what one PEM file holds. Parsed once
 * for its content; immutable and shared by reference, also with verifications under way. */
#ifndef TLS_CLIENT_CA_H
#define TLS_CLIENT_CA_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

struct client_ca;

/* Every certificate in the file is trusted, an intermediate by itself as well as a root. `earlier`
 * (NULL: none) gets one reference more instead when the file still holds the same. NULL, with an
 * error that names the file and what to do: it cannot be read, a certificate in it does not parse
 * or is none of an authority, or there is none. The caller owns one reference. */
struct client_ca *client_ca_load(const char *path, struct client_ca *earlier, struct error *error);
struct client_ca *client_ca_ref(struct client_ca *ca);
void client_ca_unref(struct client_ca *ca);

/* Whether both hold the same certificates in the same order. */
bool client_ca_is_same(const struct client_ca *one, const struct client_ca *other);
uint64_t client_ca_fingerprint(const struct client_ca *ca); /* of the certificates */
/* When the first of them is out of date: seconds since 1970. */
int64_t client_ca_not_after(const struct client_ca *ca);

#endif
