#include "net/redis_outage.h"

#include "base/check.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

enum { QUIET_MS = 10 * 1000 }; /* one that comes and goes is told no more often */

struct redis_outage {
    pthread_mutex_t lock;
    unsigned away; /* workers */
    bool is_told;
    bool was_told;
    uint64_t told_ms;
};

struct redis_outage *redis_outage_new(void)
{
    struct redis_outage *outage = memory_new(sizeof(*outage));

    pthread_mutex_init(&outage->lock, NULL);
    return outage;
}

void redis_outage_free(struct redis_outage *outage)
{
    if (outage == NULL)
        return;
    pthread_mutex_destroy(&outage->lock);
    free(outage);
}

void redis_outage_note(struct redis_outage *outage, bool *is_away, uint64_t now_ms,
                       const char *reason, const char *consequence)
{
    bool tells;

    pthread_mutex_lock(&outage->lock);
    outage->away += !*is_away;
    *is_away = true;
    tells = !outage->is_told && (!outage->was_told || now_ms - outage->told_ms >= QUIET_MS);
    if (tells) {
        outage->is_told = outage->was_told = true;
        outage->told_ms = now_ms;
    }
    pthread_mutex_unlock(&outage->lock);
    if (tells)
        log_event(LOG_WARN, "redis_away", "%s; until it is back, %s", reason, consequence);
}

void redis_outage_end(struct redis_outage *outage, bool *is_away)
{
    bool tells = false;

    if (!*is_away)
        return;
    pthread_mutex_lock(&outage->lock);
    *is_away = false;
    if (--outage->away == 0) {
        tells = outage->is_told;
        outage->is_told = false;
    }
    pthread_mutex_unlock(&outage->lock);
    if (tells)
        log_event(LOG_INFO, "redis_back", "Redis answers again");
}
