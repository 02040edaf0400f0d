/* What /recent says: the most recent requests of all workers, equal ones folded. */
#ifndef CONTROL_RECENT_PAGE_H
#define CONTROL_RECENT_PAGE_H

#include "control/control.h"
#include "proxy/recent.h"

enum { RECENT_REQUESTS_MAX = 10000 };

struct recent_fold {
    struct recent_request request; /* the newest of them */
    unsigned count;
};

struct recent_page {
    struct recent_fold *list; /* the newest first */
    size_t count;
    size_t requests;   /* all their counts together */
    uint64_t left_out; /* were too long to be remembered, since the start */
};

struct recent_query;

/* Asks every worker; `task` is woken when all have answered. */
struct recent_query *recent_query_start(struct control *control, struct task *task);
/* IO_WAIT, or IO_OK with the page, which is the query's. */
enum io recent_query_answer(struct recent_query *query, const struct recent_page **page);
/* Takes it, answered or not; workers still asked answer into the void. */
void recent_query_end(struct recent_query *query);

/* {"requests":N,"left_out":N,"list":[{"method","tls","port","host","path","sni","count"}, …]} */
void recent_print_json(const struct recent_page *page, struct buffer *out);

#endif
