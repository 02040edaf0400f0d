/* Memory for nghttp2, which in places cannot do without in the middle of something: what it asks
 * for and cannot be had comes from a reserve of its thread, and the connection, which is *short*
 * from then on, ends soon. */
#ifndef HTTP_H2_MEMORY_H
#define HTTP_H2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

/* The calling thread's. Without one nghttp2 is told that there is no memory. */
void h2_reserve_init(size_t bytes);
void h2_reserve_clear(void); /* no session has any of it */

/* *is_short becomes true when something came from the reserve, or could not be had at all; it
 * outlives the session. */
nghttp2_mem h2_memory(bool *is_short);

#endif
