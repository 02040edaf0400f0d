/* Signatures under what this gateway says to itself through others: HMAC-SHA-256, cut to 16 bytes.
 * In tls/ because it is made of BoringSSL. */
#ifndef TLS_MAC_H
#define TLS_MAC_H

#include "base/slice.h"

enum { MAC_BYTES = 16, MAC_KEY_BYTES = 32 };

/* A key that nobody knows. */
void mac_make_key(uint8_t key[MAC_KEY_BYTES]);

/* Of the parts as one text: where one of them ends must be plain from it. Keys have any length. */
void mac_sign(struct slice key, const struct slice *parts, unsigned count, uint8_t mac[MAC_BYTES]);
/* Whether they are the same bytes; takes as long wherever they differ, unless in length. */
bool mac_same_bytes(struct slice a, struct slice b);
/* Takes as long whether it differs early, late or not at all. */
bool mac_is_good(struct slice key, const struct slice *parts, unsigned count,
                 const uint8_t mac[MAC_BYTES]);

#endif
