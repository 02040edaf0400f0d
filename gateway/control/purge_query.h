/* What is to be purged from the cache, as it is asked for, and the purge itself: on a helper
 * thread, since it may walk over all that is kept. */
#ifndef CONTROL_PURGE_QUERY_H
#define CONTROL_PURGE_QUERY_H

#include "base/error.h"
#include "control/control.h"

enum { PURGES_MOST = 1000 }; /* of one question */

struct purge_item {
    enum cache_purge what;
    struct slice text;
};

struct purge_question {
    struct purge_item *items; /* in the arena */
    unsigned count;
};

/* Out of the query (?url=…&prefix=…&tag=…, each as often as it is wanted, or ?all) or, without one,
 * out of a body: {"url": …, "prefix": …, "tag": …}, each a text or a list of them, or
 * {"all": true}. URLs are brought into the form that answers are kept under. False: that is not
 * what it says. */
bool purge_question_read(struct slice query, struct slice body, struct arena *arena,
                         struct purge_question *question, struct error *error);

struct purge_query;

/* Takes a copy; `task` is woken when it is done. */
struct purge_query *purge_query_start(struct control *control,
                                      const struct purge_question *question, struct task *task);
/* IO_WAIT; IO_OK: so many are gone; IO_ERROR: there is too much to do to do it. */
enum io purge_query_answer(const struct purge_query *query, uint64_t *purged);
/* Takes it, done or not; one that has begun is done to its end. */
void purge_query_end(struct purge_query *query);

#endif
