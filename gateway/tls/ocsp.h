/* OCSP responses in files: whether one is fit to be stapled. Inside tls/ alone. */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include "base/slice.h"

/* NULL if the DER is a successful response about the certificate with this serial number (the
 * content of its INTEGER) and not out of date; else what is wrong with it, static. *expires is when
 * it will be (INT64_MAX: it does not say). Its signature is the client's to check. */
const char *ocsp_find_fault(struct slice response, struct slice serial, int64_t now,
                            int64_t *expires);

#endif
