/* ACME HTTP-01 (RFC 8555 section 8.3): which requests on plaintext listeners ask for a challenge.
 */
#ifndef CONFIG_ACME_H
#define CONFIG_ACME_H

#include "base/slice.h"

#define ACME_FOLDER "/.well-known/acme-challenge/"

/* Whether the path (normalised) is below that folder. *token is the file's name there, empty where
 * it can be none: no name made of its alphabet leads out of the folder. */
bool acme_is_challenge(struct slice path, struct slice *token);

#endif
