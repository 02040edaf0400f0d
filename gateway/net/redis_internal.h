/* What a client of Redis and its calls know of each other: for net/redis_*.c alone. */
#ifndef NET_REDIS_INTERNAL_H
#define NET_REDIS_INTERNAL_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/random.h"
#include "net/redis_client.h"

#include <hiredis/hiredis.h>

enum {
    REDIS_SCRIPT_NAME_BYTES = 40, /* by which a server calls a script: its hash */
    REDIS_REASON_SIZE = 200,
};

enum redis_state {
    REDIS_OFF, /* there is nobody to ask */
    REDIS_LOOKING_UP,
    REDIS_DIALING,
    REDIS_GREETING, /* connected: who we are, and the script */
    REDIS_READY,
    REDIS_RESTING, /* no server could be asked */
};

enum call_state {
    CALL_WAITING, /* for the connection, in `waiting` */
    CALL_SENT,    /* in `sent` */
    CALL_ANSWERED,
    CALL_FAILED,
};

struct redis_call {
    struct list_node node;
    struct redis_client *client;
    struct loop *loop;
    struct task *task; /* NULL: nobody waits for it any more */
    enum call_state state;
    struct deadline deadline;

    bool is_retried;
    char *command; /* of hiredis' making */
    size_t command_bytes;
    char *script_name; /* in it: filled in when it is sent */
    unsigned value_count;
    int64_t values[REDIS_VALUES_MOST];
};

struct redis_client {
    struct loop *loop;
    struct redis_outage *outage;
    const char *script;
    char script_name[REDIS_SCRIPT_NAME_BYTES]; /* the hash that servers call it by */
    struct task task;
    struct deadline deadline; /* of the state; READY: of a server that is late */
    struct arena arena;       /* the spec's */
    struct redis_spec spec;
    enum redis_state state;
    unsigned server, tried;    /* the one that is asked or tried; how many in this round */
    struct resolver *resolver; /* made when there is a name */
    struct lookup *lookup;
    struct dial *dial;
    struct stream *stream;
    redisReader *reader;
    redisReplyObjectFunctions usual, making; /* hiredis' own, and ours: redis_reader.c */
    size_t reply_bytes;                      /* of the one that is not complete, at most */
    unsigned greetings, in_greeting;         /* how many there are, and were answered */
    struct buffer in, out;
    struct list waiting, sent;
    unsigned call_count;
    uint64_t rest_ms, ready_ms;
    bool is_known_down; /* a round was in vain since the last answer */
    bool is_late;       /* the answer to a call did not come in time, nor has any since */
    bool is_away;       /* the outage's */
    struct random_source random;
};

/* --- the client: redis_client.c -----------------------------------------------------------------
 */

/* Goes on with whatever can go on: reads what has come, writes what is to be written. */
void redis_client_run(void *owner);
/* The one that is tried or asked is of no use: the next one, or a rest once all were tried. */
void redis_client_give_up(struct redis_client *client, const char *reason);
void redis_client_note_answer(struct redis_client *client);
void redis_client_note_late(struct redis_client *client);
/* False: no memory. */
bool redis_client_write(struct redis_client *client, const char *const *words, unsigned count);
bool redis_client_write_script(struct redis_client *client);

/* --- what it reads: redis_reader.c --------------------------------------------------------------
 */

/* NULL: no memory. */
redisReader *redis_reader_new(struct redis_client *client);

/* --- its calls: redis_call.c --------------------------------------------------------------------
 */

void redis_calls_fail(struct list *calls);
/* Those that wait for a connection, now that there is one. */
void redis_calls_send(struct redis_client *client);
/* The next one: of the call that was sent first. */
void redis_calls_take_reply(struct redis_client *client, const redisReply *reply);

#endif
