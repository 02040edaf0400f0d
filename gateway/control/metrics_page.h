/* What /metrics says, from the same page as /status and from what the workers count by name. */
#ifndef CONTROL_METRICS_PAGE_H
#define CONTROL_METRICS_PAGE_H

#include "control/status_page.h"

void metrics_page_print(const struct status_page *page, struct buffer *out);

#endif
