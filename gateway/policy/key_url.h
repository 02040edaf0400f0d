/* Where keys are fetched from, as an operator writes it: http://host[:port]/path. */
#ifndef POLICY_KEY_URL_H
#define POLICY_KEY_URL_H

#include "net/address.h"

struct key_url {
    struct endpoint endpoint; /* ENDPOINT_IP or ENDPOINT_NAME */
    struct slice path;        /* of the text; "/" at least */
    struct slice query;       /* with its "?", or empty */
};

/* Whether it is meant as a URL, not as a file. */
bool key_url_is_meant(struct slice text);
bool key_url_parse(struct slice text, struct key_url *url, struct error *error);
/* Of a URL or a path, what may be told: a query may hold a secret. */
struct slice key_url_told(struct slice text);

#endif
