/* Certificates as metrics: until when each name is covered, and how many are in which state. */
#ifndef CONTROL_CERT_METRICS_H
#define CONTROL_CERT_METRICS_H

#include "control/certificates.h"

/* At most `limit` names, those that run out first; the rest as "other". */
void cert_metrics_print(const struct certificate_rows *rows, size_t limit, struct buffer *out);

#endif
