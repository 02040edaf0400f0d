/* Many keep-alive connections whose requests are numbered and whose answers are checked, and a
 * second book that the backends keep. */
#ifndef E2E_LOAD_H
#define E2E_LOAD_H

#include "gateway_process.h"
#include "history.h"
#include "origin.h"
#include "tls_client.h"

struct gate;
struct load;

/* Whom requests are for. */
struct load_host {
    const char *name;         /* in Host */
    const char *sni;          /* in the handshake */
    struct history *answerer; /* the number of the origin, HISTORY_ABSENT for 404; NULL: any may */
};

struct load_options {
    struct gateway *gateway;
    const struct load_host *hosts; /* connections are for them in turn */
    int host_count;
    int connections;
    int threads; /* each asks on its share of the connections at once */
    bool posts;  /* every other request is a POST, which nobody may send twice */
};

/* Lives until the test ends. The hosts are the caller's until load_end. */
struct load *load_new(const struct load_options *options);
/* Makes the origin answer numbered requests under a number of its own, and enter them in the book.
 */
void load_add_origin(struct load *load, struct origin *origin, int number);
/* The origin of that number answers nothing any more before the gate is open. */
void load_hold_answers(struct load *load, int number, struct gate *gate);
/* What that origin does from here on with a request that it has entered; NULL: it answers. */
void load_set_conduct(struct load *load, int number, origin_script conduct);
/* How many requests it has entered until now. */
int load_seen_by(struct load *load, int number);
/* Waits for so many more; fails the test when they do not come. */
void load_wait_seen_by(struct load *load, int number, int more);
/* Opens the connections and asks on them until load_end. */
void load_start(struct load *load);
/* Waits for so many more right answers; fails the test when the load stands still. */
void load_wait_answers(struct load *load, int more);
/* The same for failures. */
void load_wait_failures(struct load *load, int more);
void load_end(struct load *load);

/* One more numbered request, on a connection of the caller's; the number of the origin that
 * answered, HISTORY_ABSENT for none. Whether that was right is counted with the others. For any
 * thread. */
int load_ask(struct load *load, struct client *client, const struct load_host *host);

/* After load_end. */
int load_sent(const struct load *load);
int load_answered(const struct load *load); /* right, and whole */
int load_failed(const struct load *load);
int load_refused(const struct load *load); /* of those, with a whole 502 or 503 */
/* Fails the test unless every answer was right, and the backends' book says the same as the
 * clients': each request seen once, by who answered it, and nobody else's seen at all. */
void load_expect_nothing_lost(const struct load *load);
/* The same where that origin was unsteady (HISTORY_ABSENT: any may have been): GETs may have been
 * seen more than once, but all were answered right. No POST was seen twice; so many failed at most,
 * and nobody else saw those. */
void load_expect_posts_lost(const struct load *load, int number, int most);

#endif
