/* Where keys behind URLs are asked for: workers that meet a token of an unknown key come here, the
 * control thread fetches, and whoever waits is told.
 *
 * Whatever tokens clients send, keys of one URL are fetched out of turn once in
 * KEYS_ASKED_FOR_EVERY_MS at most, for all workers together. */
#ifndef POLICY_KEY_DESK_H
#define POLICY_KEY_DESK_H

#include "policy/source.h"
#include "upstream/bell.h"

enum { KEYS_ASKED_FOR_EVERY_MS = 10 * 1000 };

struct key_desk; /* the process's */
struct key_fetch;

/* Of one URL. Made and ended by the fetcher, which is the only one to hold a pointer for long. */
struct key_place {
    struct source *source; /* a reference */
    /* The desk's lock's. */
    bool is_wanted;    /* somebody waits for a fetch that has not begun */
    bool is_under_way; /* one has */
    uint64_t asked_ms; /* when somebody was let ask last; 0: never */
    struct list waits;
    /* The fetcher's. */
    struct key_fetch *fetch; /* NULL: none is under way */
    uint64_t due_ms;         /* the next one */
    unsigned failures;       /* since the last good one */
};

struct key_desk *key_desk_new(void);
void key_desk_free(struct key_desk *desk); /* no place may be left */

/* --- workers ------------------------------------------------------------------------------------
 */

/* A request that waits for keys; its own. */
struct key_wait {
    struct key_desk *desk;
    struct list_node node; /* the desk's lock's */
    bool is_over;          /* the same */
    struct bell_pull pull;
    struct task *task;
};

/* True: newer keys are on their way, and `task` is woken on the bell's loop when they are there, or
 * did not come. False: nobody will fetch any just now, and there is nothing to end. */
bool key_desk_wait(struct key_desk *desk, const struct source *source, uint64_t now_ms,
                   struct bell *bell, struct task *task, struct key_wait *wait);
bool key_wait_is_over(struct key_wait *wait);
void key_wait_end(struct key_wait *wait);

/* --- the fetcher --------------------------------------------------------------------------------
 */

/* `asked` is rung when somebody waits for a fetch. NULL: nobody will fetch any more; who waits is
 * told. */
void key_desk_attend(struct key_desk *desk, struct bell_pull *asked);
/* Takes the reference. NULL: there are too many. */
struct key_place *key_desk_add(struct key_desk *desk, struct source *source);
struct key_place *key_desk_find(struct key_desk *desk, const struct source *source);
/* Whoever waits there is told. */
void key_desk_remove(struct key_desk *desk, struct key_place *place);
/* For walking, from 0; NULL: there are no more. One that is removed has the last one in its place.
 */
struct key_place *key_desk_at(struct key_desk *desk, unsigned index);
bool key_place_is_wanted(struct key_desk *desk, const struct key_place *place);
void key_place_begin(struct key_desk *desk, struct key_place *place);
/* What was fetched is in the source, if anything was: who waits is told. */
void key_place_end(struct key_desk *desk, struct key_place *place);

#endif
