/* Memory for libev's tables, which grow with the number of sockets: libev ends the process when it
 * gets none, so a thread makes sure beforehand that it will. A descriptor has one watcher at a
 * time. Inside net/ alone. */
#ifndef NET_EV_MEMORY_H
#define NET_EV_MEMORY_H

#include <stdbool.h>

/* From here on libev takes its memory here. Any thread, as often as it likes. */
void ev_memory_install(void);

/* Before a watcher of that descriptor starts: false when there is no memory for what libev may need
 * for it. Keeps a piece at hand for the calling thread; costs nothing mostly. */
bool ev_memory_provide(int fd);
/* Frees the calling thread's piece, before it ends. */
void ev_memory_clear(void);

#endif
