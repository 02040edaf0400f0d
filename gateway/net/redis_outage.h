/* Whether Redis can be asked, as the whole process sees it: one event when it goes away and one
 * when it is back, whatever the number of workers. Any thread. */
#ifndef NET_REDIS_OUTAGE_H
#define NET_REDIS_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct redis_outage;

struct redis_outage *redis_outage_new(void);
void redis_outage_free(struct redis_outage *outage);

/* One worker's client finds that nobody answers, why, and what follows from it. *is_away is that
 * client's own: set, and cleared by redis_outage_end. Again and again while it lasts. */
void redis_outage_note(struct redis_outage *outage, bool *is_away, uint64_t now_ms,
                       const char *reason, const char *consequence);
/* It is answered, or asks no more; nothing if it was not away. */
void redis_outage_end(struct redis_outage *outage, bool *is_away);

#endif
