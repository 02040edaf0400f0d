/* Calls of Redis: written, answered, called off. */
#include "base/check.h"
#include "net/redis_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { CALLS_MOST = 4096 }; /* on their way */

/* --- calls --------------------------------------------------------------------------------------
 */

static void free_call(struct redis_call *call)
{
    list_remove(&call->node);
    deadline_clear(&call->deadline);
    call->client->call_count--;
    free(call->command);
    free(call);
}

static void settle(struct redis_call *call, enum call_state state)
{
    list_remove(&call->node);
    call->state = state;
    if (call->task == NULL)
        free_call(call);
    else
        loop_wake(call->loop, call->task);
}

void redis_calls_fail(struct list *calls)
{
    struct list_node *node;

    while ((node = list_first(calls)) != NULL)
        settle(container_of(node, struct redis_call, node), CALL_FAILED);
}

/* --- sending and answering ----------------------------------------------------------------------
 */

void redis_calls_send(struct redis_client *client)
{
    struct list_node *node;

    while ((node = list_first(&client->waiting)) != NULL) {
        struct redis_call *call = container_of(node, struct redis_call, node);
        memcpy(call->script_name, client->script_name, REDIS_SCRIPT_NAME_BYTES);
        list_remove(node);
        if (buffer_append(&client->out, slice_make(call->command, call->command_bytes))) {
            call->state = CALL_SENT;
            list_push_back(&client->sent, node);
        } else {
            settle(call, CALL_FAILED);
        }
    }
}

static bool take_values(struct redis_call *call, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > REDIS_VALUES_MOST)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
        call->values[i] = reply->element[i]->integer;
    }
    call->value_count = (unsigned)reply->elements;
    return true;
}

/* A server that has lost its scripts gets ours once more, and the call behind it. */
static void send_again(struct redis_client *client, struct redis_call *call)
{
    struct redis_call *load = memory_try(sizeof(*load));

    call->is_retried = true;
    if (load == NULL || !redis_client_write_script(client) ||
        !buffer_append(&client->out, slice_make(call->command, call->command_bytes))) {
        free(load);
        redis_client_give_up(client, "no memory");
        return;
    }
    *load = (struct redis_call){.client = client, .state = CALL_SENT};
    client->call_count++;
    list_push_back(&client->sent, &load->node);
    list_remove(&call->node);
    list_push_back(&client->sent, &call->node);
}

/* Whether the call alone is what it complains of. */
static bool is_about_call(const char *error)
{
    return strncmp(error, "ERR", 3) == 0 || strncmp(error, "WRONGTYPE", 9) == 0;
}

void redis_calls_take_reply(struct redis_client *client, const redisReply *reply)
{
    struct list_node *node = list_first(&client->sent);
    struct redis_call *call;
    char reason[REDIS_REASON_SIZE];

    if (node == NULL) {
        redis_client_give_up(client, "it answers what nobody asked");
        return;
    }
    call = container_of(node, struct redis_call, node);
    if (reply->type != REDIS_REPLY_ERROR) {
        settle(call, take_values(call, reply) ? CALL_ANSWERED : CALL_FAILED);
        redis_client_note_answer(client);
    } else if (strncmp(reply->str, "NOSCRIPT", 8) == 0 && !call->is_retried &&
               call->command != NULL) {
        send_again(client, call);
    } else if (is_about_call(reply->str)) {
        settle(call, CALL_FAILED);
        redis_client_note_answer(client);
    } else { /* READONLY, LOADING, OOM … */
        snprintf(reason, sizeof(reason), "it says: %s", reply->str);
        redis_client_give_up(client, reason);
    }
}

/* --- callers ------------------------------------------------------------------------------------
 */

/* EVALSHA, the script's name, how many keys there are, and all words. */
static bool format_call(struct redis_call *call, const struct slice *words, unsigned key_count,
                        unsigned word_count)
{
    static const char name_to_come[] = "0123456789012345678901234567890123456789";
    const char *at[REDIS_WORDS_MOST + 3];
    size_t lengths[REDIS_WORDS_MOST + 3];
    char keys[16];
    int bytes;

    snprintf(keys, sizeof(keys), "%u", key_count);
    at[0] = "EVALSHA";
    at[1] = name_to_come;
    at[2] = keys;
    for (unsigned i = 0; i < 3; i++)
        lengths[i] = strlen(at[i]);
    for (unsigned i = 0; i < word_count; i++) {
        at[i + 3] = words[i].at;
        lengths[i + 3] = words[i].len;
    }
    bytes = redisFormatCommandArgv(&call->command, (int)word_count + 3, at, lengths);
    if (bytes <= 0)
        return false;
    call->command_bytes = (size_t)bytes;
    call->script_name = strstr(call->command, name_to_come); /* the first word but one */
    return true;
}

struct redis_call *redis_call_begin(struct redis_client *client, const struct slice *words,
                                    unsigned key_count, unsigned word_count, struct task *task)
{
    struct redis_call *call;

    assert(word_count <= REDIS_WORDS_MOST);
    if (client->state == REDIS_OFF || client->is_known_down || client->is_late ||
        client->call_count == CALLS_MOST)
        return NULL;
    call = memory_try(sizeof(*call));
    if (call == NULL)
        return NULL;
    *call = (struct redis_call){.client = client, .loop = client->loop, .task = task};
    if (!format_call(call, words, key_count, word_count)) {
        free(call);
        return NULL;
    }
    client->call_count++;
    deadline_init(&call->deadline, task);
    deadline_set(client->loop, &call->deadline, client->spec.timeout_ms);
    list_push_back(&client->waiting, &call->node);
    if (client->state == REDIS_READY) {
        redis_calls_send(client);
        loop_wake(client->loop, &client->task);
    }
    return call;
}

static bool is_settled(const struct redis_call *call)
{
    return call->state == CALL_ANSWERED || call->state == CALL_FAILED;
}

enum io redis_call_answer(struct redis_call *call, int64_t *values, unsigned count)
{
    if (!is_settled(call) && !deadline_passed(call->loop, &call->deadline))
        return IO_WAIT;
    /* If this worker was late itself, the answer may be there already, and only not read. */
    if (!is_settled(call))
        redis_client_run(call->client);
    if (!is_settled(call))
        redis_client_note_late(call->client);
    if (call->state != CALL_ANSWERED || call->value_count != count)
        return IO_ERROR;
    memcpy(values, call->values, count * sizeof(*values));
    return IO_OK;
}

void redis_call_end(struct redis_call *call)
{
    deadline_clear(&call->deadline);
    call->task = NULL;
    if (call->state != CALL_SENT)
        free_call(call);
}
