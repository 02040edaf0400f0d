#include "net/redis_client.h"

#include "base/check.h"
#include "net/dialer.h"
#include "net/redis_internal.h"
#include "net/resolver.h"
#include "net/tcp_stream.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REPLY_MOST = 256 * 1024, /* bytes of a reply that is not complete */
    CONNECT_MS = 1000,       /* for a server to be connected to, and to answer its greeting */
    LATE_MS = 1000,          /* a server that is silent for so long is given up */
    REST_LEAST_MS = 50,      /* between two rounds in vain, each twice the last */
    REST_MOST_MS = 1000,
    STEADY_MS = 1000, /* a connection that lasted so long was a good one */
    READS_MOST = 16,  /* in one go */
};

/* --- going away, coming back --------------------------------------------------------------------
 */

static const char *consequence(const struct redis_client *client)
{
    switch (client->spec.on_failure) {
    case REDIS_FAIL_LOCAL: return "what is shared through it is counted by this process alone";
    case REDIS_FAIL_ALLOW: return "what is shared through it limits nobody";
    case REDIS_FAIL_DENY: return "what is limited through it is refused";
    }
    return "";
}

static void note_away(struct redis_client *client, const char *reason)
{
    struct slice name = client->spec.servers[client->server].name;
    char text[REDIS_REASON_SIZE + 128];

    snprintf(text, sizeof(text), "%.*s: %s", (int)name.len, name.at, reason);
    redis_outage_note(client->outage, &client->is_away, loop_now_ms(client->loop), text,
                      consequence(client));
}

void redis_client_note_answer(struct redis_client *client)
{
    if (client->is_late)
        deadline_set(client->loop, &client->deadline, 0);
    client->is_late = false;
    client->is_known_down = false;
    redis_outage_end(client->outage, &client->is_away);
}

static void drop_connection(struct redis_client *client)
{
    if (client->lookup != NULL)
        lookup_end(client->lookup);
    if (client->dial != NULL)
        dial_end(client->dial);
    if (client->stream != NULL)
        stream_close(client->stream);
    if (client->reader != NULL)
        redisReaderFree(client->reader);
    client->lookup = NULL;
    client->dial = NULL;
    client->stream = NULL;
    client->reader = NULL;
    buffer_clear(&client->in);
    buffer_clear(&client->out);
    deadline_clear(&client->deadline);
    client->in_greeting = 0;
    client->is_late = false;
    redis_calls_fail(&client->sent);
}

/* Half of it by chance: workers, and gateways, do not come back all at once. */
static void rest(struct redis_client *client)
{
    uint64_t half = client->rest_ms / 2;

    client->state = REDIS_RESTING;
    deadline_set(client->loop, &client->deadline,
                 half + 1 + random_below(&client->random, half + 1));
    client->rest_ms = client->rest_ms * 2 < REST_MOST_MS ? client->rest_ms * 2 : REST_MOST_MS;
}

static void try_server(struct redis_client *client);

/* The one that is tried or asked is of no use: the next one, or a rest once all were tried. */
void redis_client_give_up(struct redis_client *client, const char *reason)
{
    bool was_steady =
        client->state == REDIS_READY && loop_now_ms(client->loop) - client->ready_ms >= STEADY_MS;

    note_away(client, reason);
    drop_connection(client);
    client->tried = was_steady ? 0 : client->tried + 1;
    if (was_steady)
        client->rest_ms = REST_LEAST_MS;
    client->server = (client->server + 1) % client->spec.server_count;
    if (client->tried < client->spec.server_count) {
        try_server(client);
        return;
    }
    client->tried = 0;
    client->server = 0;
    client->is_known_down = true;
    redis_calls_fail(&client->waiting);
    rest(client);
}

/* --- connecting ---------------------------------------------------------------------------------
 */

static void dial(struct redis_client *client, const struct address *addresses, unsigned count)
{
    client->dial = dial_start(client->loop, addresses, (int)count, CONNECT_MS, &client->task);
    if (client->dial != NULL)
        client->state = REDIS_DIALING;
    else
        redis_client_give_up(client, "no memory");
}

static void try_server(struct redis_client *client)
{
    const struct endpoint *endpoint = &client->spec.servers[client->server].endpoint;

    deadline_set(client->loop, &client->deadline,
                 client->spec.timeout_ms > CONNECT_MS ? client->spec.timeout_ms : CONNECT_MS);
    if (endpoint->kind != ENDPOINT_NAME) {
        dial(client, &endpoint->address, 1);
        return;
    }
    client->state = REDIS_LOOKING_UP;
    client->lookup = lookup_start(client->resolver, endpoint->name, endpoint->port, &client->task);
}

static void await_addresses(struct redis_client *client)
{
    struct lookup_answer answer;
    struct address addresses[8];
    unsigned count;

    if (lookup_answer(client->lookup, &answer) != IO_OK)
        return;
    if (answer.outcome != LOOKUP_FOUND || answer.count == 0) {
        redis_client_give_up(client,
                             answer.reason != NULL ? answer.reason : "the name has no address");
        return;
    }
    count = answer.count < 8 ? answer.count : 8;
    memcpy(addresses, answer.addresses, count * sizeof(addresses[0]));
    lookup_end(client->lookup);
    client->lookup = NULL;
    dial(client, addresses, count);
}

/* False: no memory. */
bool redis_client_write(struct redis_client *client, const char *const *words, unsigned count)
{
    char *command = NULL;
    int bytes = redisFormatCommandArgv(&command, (int)count, (const char **)(uintptr_t)words, NULL);
    bool is_written = bytes > 0 && buffer_append(&client->out, slice_make(command, (size_t)bytes));

    if (bytes > 0)
        free(command);
    return is_written;
}

bool redis_client_write_script(struct redis_client *client)
{
    return redis_client_write(client, (const char *const[]){"SCRIPT", "LOAD", client->script}, 3);
}

/* Its first words, to which it says whether it may be used: a replica may not, nor one that has no
 * room. What is written is gone in a second. */
static bool write_greeting(struct redis_client *client)
{
    static const char *const hello[] = {"SET", "sallyport:hello", "1", "PX", "1000"};
    const struct redis_spec *spec = &client->spec;
    char database[16];
    bool is_good = true;

    client->greetings = 2;
    if (spec->password.len > 0) {
        const char *const words[] = {"AUTH", spec->user.at, spec->password.at};
        const char *const alone[] = {"AUTH", spec->password.at};
        client->greetings++;
        is_good = spec->user.len > 0 ? redis_client_write(client, words, 3)
                                     : redis_client_write(client, alone, 2);
    }
    if (is_good && spec->database > 0) {
        snprintf(database, sizeof(database), "%u", spec->database);
        client->greetings++;
        is_good = redis_client_write(client, (const char *const[]){"SELECT", database}, 2);
    }
    return is_good && redis_client_write(client, hello, 5) && redis_client_write_script(client);
}

static void await_connection(struct redis_client *client)
{
    enum dial_failure failure = DIAL_REFUSED;
    enum io io = dial_answer(client->dial, &client->stream, &failure);

    if (io == IO_WAIT)
        return;
    if (io != IO_OK) {
        redis_client_give_up(client, failure == DIAL_TIMEOUT
                                         ? "it does not accept connections in time"
                                     : failure == DIAL_NO_FDS ? "there are no file descriptors"
                                                              : "it refuses connections");
        return;
    }
    dial_end(client->dial);
    client->dial = NULL;
    client->reader = redis_reader_new(client);
    client->reply_bytes = 0;
    client->state = REDIS_GREETING;
    if (client->reader == NULL || !write_greeting(client))
        redis_client_give_up(client, "no memory");
}

/* --- replies ------------------------------------------------------------------------------------
 */

/* Of what it says to a password nothing is repeated but the first word: some repeat that. */
static void refuse_greeting(struct redis_client *client, const char *error)
{
    bool is_first = client->in_greeting == 0 && client->spec.password.len > 0;
    char reason[REDIS_REASON_SIZE];

    if (is_first)
        snprintf(reason, sizeof(reason), "it does not take the password (%.*s)",
                 (int)strcspn(error, " "), error);
    else
        snprintf(reason, sizeof(reason), "it says: %s", error);
    redis_client_give_up(client, reason);
}

static void take_greeting(struct redis_client *client, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        refuse_greeting(client, reply->str);
        return;
    }
    client->in_greeting++;
    if (client->in_greeting < client->greetings)
        return;
    if (reply->type != REDIS_REPLY_STRING || reply->len != REDIS_SCRIPT_NAME_BYTES) {
        redis_client_give_up(client, "what it answers is no Redis' protocol");
        return;
    }
    memcpy(client->script_name, reply->str, REDIS_SCRIPT_NAME_BYTES);
    client->state = REDIS_READY;
    client->ready_ms = loop_now_ms(client->loop);
    client->tried = 0;
    deadline_set(client->loop, &client->deadline, 0);
    redis_client_note_answer(client);
    redis_calls_send(client);
}

/* False: the connection is gone, or nothing is there to be read. */
static bool read_some(struct redis_client *client)
{
    enum io io;

    if (!buffer_reserve(&client->in, BUFFER_SMALL)) {
        redis_client_give_up(client, "no memory");
        return false;
    }
    io = stream_read(client->stream, &client->in);
    if (io == IO_WAIT)
        return false;
    if (io == IO_OK) {
        struct slice bytes = buffer_content(&client->in);
        bool is_fed = redisReaderFeed(client->reader, bytes.at, bytes.len) == REDIS_OK;
        client->reply_bytes += bytes.len;
        buffer_consume(&client->in, bytes.len);
        if (is_fed && client->reply_bytes <= REPLY_MOST)
            return true;
        redis_client_give_up(client, "it answers too much");
    } else if (client->state == REDIS_READY && list_is_empty(&client->sent)) {
        drop_connection(client); /* as servers do with those who are idle */
        client->tried = 0;
        try_server(client);
    } else {
        redis_client_give_up(client, "it has closed the connection");
    }
    return false;
}

/* False: the connection is gone. */
static bool take_replies(struct redis_client *client)
{
    const struct stream *stream = client->stream;
    void *reply;

    for (;;) {
        if (redisReaderGetReply(client->reader, &reply) != REDIS_OK) {
            redis_client_give_up(client, "what it answers is no Redis' protocol");
            return false;
        }
        if (reply == NULL)
            return true;
        client->reply_bytes = 0;
        if (client->state == REDIS_GREETING)
            take_greeting(client, reply);
        else
            redis_calls_take_reply(client, reply);
        freeReplyObject(reply);
        if (client->stream != stream || stream == NULL)
            return false;
    }
}

static bool write_out(struct redis_client *client)
{
    while (buffer_length(&client->out) > 0) {
        size_t taken = 0;
        enum io io = stream_write(client->stream, buffer_content(&client->out), &taken);
        if (io == IO_WAIT)
            return true;
        if (io != IO_OK) {
            redis_client_give_up(client, "it has closed the connection");
            return false;
        }
        buffer_consume(&client->out, taken);
    }
    buffer_rest(&client->out);
    stream_flush(client->stream);
    return true;
}

/* --- the runner ---------------------------------------------------------------------------------
 */

static void converse(struct redis_client *client)
{
    if (!write_out(client))
        return;
    for (unsigned i = 0; read_some(client); i++) {
        if (!take_replies(client))
            return;
        if (i == READS_MOST) {
            loop_wake(client->loop, &client->task);
            break;
        }
    }
    if (client->stream == NULL)
        return;
    buffer_rest(&client->in);
    write_out(client); /* what replies gave rise to */
}

/* Nobody waits for a server that is late, but it may come round. */
void redis_client_note_late(struct redis_client *client)
{
    if (client->is_late)
        return;
    client->is_late = true;
    note_away(client, "it does not answer in time");
    if (client->state == REDIS_READY)
        deadline_set(client->loop, &client->deadline, LATE_MS);
}

static bool is_overdue(struct redis_client *client)
{
    return client->state != REDIS_OFF && client->state != REDIS_RESTING &&
           deadline_passed(client->loop, &client->deadline);
}

void redis_client_run(void *owner)
{
    struct redis_client *client = owner;
    enum redis_state before;

    do {
        before = client->state;
        switch (client->state) {
        case REDIS_OFF: break;
        case REDIS_LOOKING_UP: await_addresses(client); break;
        case REDIS_DIALING: await_connection(client); break;
        case REDIS_GREETING:
        case REDIS_READY: converse(client); break;
        case REDIS_RESTING:
            if (deadline_passed(client->loop, &client->deadline))
                try_server(client);
            break;
        }
    } while (client->state != before && client->state > REDIS_LOOKING_UP &&
             client->state < REDIS_RESTING);
    if (is_overdue(client))
        redis_client_give_up(client, "it does not answer");
}

/* --- the client ---------------------------------------------------------------------------------
 */

struct redis_client *redis_client_new(struct loop *loop, struct redis_outage *outage,
                                      const char *script)
{
    struct redis_client *client = memory_new(sizeof(*client));

    client->loop = loop;
    client->outage = outage;
    client->script = script;
    client->random.state = random_seed();
    task_init(&client->task, redis_client_run, client);
    deadline_init(&client->deadline, &client->task);
    list_init(&client->waiting);
    list_init(&client->sent);
    return client;
}

static void stop(struct redis_client *client)
{
    drop_connection(client);
    redis_calls_fail(&client->waiting);
    redis_outage_end(client->outage, &client->is_away);
    client->state = REDIS_OFF;
}

void redis_client_free(struct redis_client *client)
{
    if (client == NULL)
        return;
    stop(client);
    assert(client->call_count == 0);
    resolver_free(client->resolver);
    arena_clear(&client->arena);
    loop_bury(client->loop, &client->task, free);
}

static void copy_spec(struct redis_client *client, const struct redis_spec *spec)
{
    struct arena *arena = &client->arena;

    arena_clear(arena);
    client->spec = *spec;
    client->spec.servers = arena_alloc(arena, spec->server_count * sizeof(*spec->servers));
    memcpy(client->spec.servers, spec->servers, spec->server_count * sizeof(*spec->servers));
    for (unsigned i = 0; i < spec->server_count; i++)
        client->spec.servers[i].name = arena_copy(arena, spec->servers[i].name);
    client->spec.user = slice_of(arena_text(arena, spec->user));
    client->spec.password = slice_of(arena_text(arena, spec->password));
}

static bool has_names(const struct redis_spec *spec)
{
    for (unsigned i = 0; i < spec->server_count; i++)
        if (spec->servers[i].endpoint.kind == ENDPOINT_NAME)
            return true;
    return false;
}

void redis_client_follow(struct redis_client *client, const struct redis_spec *spec,
                         const struct address *name_servers, unsigned name_server_count)
{
    bool is_same =
        client->state != REDIS_OFF && spec != NULL && spec->fingerprint == client->spec.fingerprint;

    if (spec != NULL && client->resolver == NULL && has_names(spec))
        client->resolver = resolver_new(client->loop, NULL);
    if (client->resolver != NULL)
        resolver_set_servers(client->resolver, name_servers, name_server_count);
    if (is_same)
        return;
    stop(client);
    if (spec == NULL)
        return;
    copy_spec(client, spec);
    client->server = client->tried = 0;
    client->rest_ms = REST_LEAST_MS;
    client->is_known_down = false;
    try_server(client);
}

enum redis_failure redis_client_on_failure(const struct redis_client *client)
{
    return client->spec.on_failure;
}
