/* Backends and their servers as metrics. */
#ifndef CONTROL_SERVER_METRICS_H
#define CONTROL_SERVER_METRICS_H

#include "control/status_page.h"

void server_metrics_print(const struct status_page *page, struct buffer *out);

#endif
