#include "proxy/door.h"

#include <sys/socket.h>
#include <unistd.h>

static_assert(METRIC_REFUSED_MEMORY - METRIC_REFUSED_CONNECTIONS ==
                  REFUSAL_MEMORY - REFUSAL_CONNECTIONS,
              "refusals and their metrics stand in one order");

static void count_refusal(struct proxy_env *env, enum refusal refusal)
{
    metric_add(env->metrics, METRIC_REFUSED_CONNECTIONS + (refusal - REFUSAL_CONNECTIONS), 1);
}

static const struct client_limits *limits_of(const struct proxy_env *env)
{
    return &env->pin->snapshot->globals->client_limits;
}

/* For what is not let in and is closed now, at the cost of a call or two. What has come already is
 * read, lest the close be a reset that outruns the answer; a plaintext client gets one, if it can
 * be had at once. */
static void turn_away(struct proxy_env *env, bool is_tls, int fd, enum refusal refusal)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 36\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "503 Service Unavailable: over_limit\n";

    count_refusal(env, refusal);
    recv(fd, loop_read_scratch(env->loop), LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    if (!is_tls)
        send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool door_let_in(struct proxy_env *env, const struct arrival *arrival, struct admission_pass *pass)
{
    enum refusal refusal = admission_enter(env->admission, limits_of(env), arrival, pass);

    metric_add(env->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    if (refusal == REFUSAL_NONE)
        return true;
    turn_away(env, arrival->shakes_hands, arrival->fd, refusal);
    close(arrival->fd);
    return false;
}

void door_lack_memory(struct proxy_env *env, const struct arrival *arrival,
                      struct admission_pass *pass)
{
    admission_leave(env->admission, pass);
    admission_note_refusal(env->admission, limits_of(env), REFUSAL_MEMORY, arrival);
    count_refusal(env, REFUSAL_MEMORY);
}

bool door_charge(struct proxy_env *env, const struct client *client, int fd,
                 struct admission_pass *pass)
{
    struct address peer = client_address(client);
    enum refusal refusal =
        admission_charge(env->admission, limits_of(env), &peer, loop_now_ms(env->loop), pass);

    if (refusal == REFUSAL_NONE)
        return true;
    turn_away(env, client->is_tls, fd, refusal);
    return false;
}

bool door_let_in_request(struct proxy_env *env, const struct client *client)
{
    struct address peer = client_address(client);

    return admission_enter_request(env->admission, limits_of(env), &peer, loop_now_ms(env->loop));
}

void door_note_flood(struct proxy_env *env, const struct client *client)
{
    struct address peer = client_address(client);

    admission_note_flood(env->admission, &peer, loop_now_ms(env->loop));
}
