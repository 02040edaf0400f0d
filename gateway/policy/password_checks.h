/* Passwords that are being verified, by helper threads: a good hash takes a large part of a second,
 * which no loop has. The process's.
 *
 * Requests that say the same at once wait for one verification. Those of one client (IPv6: of one
 * /64) are few at a time, those of all are bounded, and what is beyond is turned away: so guesses
 * cost those who make them, and others wait for no more than a few of them. */
#ifndef POLICY_PASSWORD_CHECKS_H
#define POLICY_PASSWORD_CHECKS_H

#include "net/jobs.h"
#include "policy/password_memory.h"
#include "upstream/bell.h"

enum {
    PASSWORD_CHECKS_OF_ONE = 4, /* at a time, of one client */
    PASSWORD_CHECKS_MOST = 256, /* waiting or under way */
};

struct password_checks;
struct password_check;

/* `jobs` is borrowed, and does nothing else. */
struct password_checks *password_checks_new(struct jobs *jobs);
/* Once nobody waits any more; what is under way ends by itself. */
void password_checks_free(struct password_checks *checks);

/* A request that waits for a verdict; its own, and a task's of the bell's loop. */
struct password_wait {
    struct password_checks *checks; /* NULL: it does not wait */
    struct list_node node;          /* the lock's, as the next two */
    bool is_over, is_good;
    struct bell_pull pull;
    struct task *task;
};

/* Whose request it is, and who is to be woken for it. */
struct password_asker {
    struct slice client_ip;
    struct bell *bell;
    struct task *task;
    uint64_t now_ms;
};

enum password_verdict {
    PASSWORD_GOOD,  /* it was verified a moment ago */
    PASSWORD_BAD,   /* by password_wait_verdict alone */
    PASSWORD_WAITS, /* the task is woken; `wait` is to be ended, whatever happens */
    PASSWORD_BUSY,  /* too many are under way */
};

/* `is_known` false: the name is nobody's, and the hash some other one; it will not be good, which
 * takes as long. */
enum password_verdict password_check(struct password_checks *checks,
                                     const struct password_claim *claim, bool is_known,
                                     const struct password_asker *asker,
                                     struct password_wait *wait);
enum password_verdict password_wait_verdict(struct password_wait *wait);
void password_wait_end(struct password_wait *wait);

/* Whether the password is the one that was hashed; takes its time. */
bool password_fits(struct slice password, const char *hash);

#endif
