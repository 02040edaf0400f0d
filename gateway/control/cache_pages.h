/* What /status and /metrics say of the cache. */
#ifndef CONTROL_CACHE_PAGES_H
#define CONTROL_CACHE_PAGES_H

#include "control/status_page.h"

/* "cache":[…] */
void cache_print_json(const struct status_page *page, struct buffer *out);
/* Lines with their title; nothing without a cache. */
void cache_print_text(const struct status_page *page, struct buffer *out);
void cache_metrics_print(const struct status_page *page, struct buffer *out);

#endif
