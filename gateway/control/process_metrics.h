/* What the system knows of this process, under the names that Prometheus gives it everywhere. */
#ifndef CONTROL_PROCESS_METRICS_H
#define CONTROL_PROCESS_METRICS_H

#include "base/buffer.h"

/* What cannot be found out is left out. */
void process_metrics_print(struct buffer *out);

#endif
