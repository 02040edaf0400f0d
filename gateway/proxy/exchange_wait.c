#include "proxy/exchange_state.h"

/* --- the rate that a client must keep up ---------------------------------------------------------
 */

/* NULL: nobody who is held to a rate is waited for. */
static struct pace *pace_of(struct exchange *x, enum exchange_wait wait)
{
    if (x->globals->body_rate == 0 || x->is_tunnel)
        return NULL;
    switch (wait) {
    case WAIT_CLIENT_SENDS: return &x->sends;
    case WAIT_CLIENT_TAKES: return &x->takes;
    default: return NULL;
    }
}

/* What has come from the client, or arrived with it, as the kernel knows: a TLS record that is
 * still on its way counts as far as it is here. */
static uint64_t progress(const struct exchange *x, enum exchange_wait wait)
{
    struct stream_traffic traffic = x->client_stream->client->traffic(x->client_stream);

    if (wait == WAIT_CLIENT_TAKES)
        return traffic.arrived;
    return traffic.came != UINT64_MAX ? traffic.came : x->client_stream->bytes_read;
}

static void count_waiting(struct exchange *x, struct pace *pace, enum exchange_wait wait)
{
    uint64_t now_ms = loop_now_ms(x->env->loop);

    if (pace_is_new(pace))
        pace_begin(pace, now_ms, progress(x, wait));
    else
        pace_resume(pace, now_ms);
}

/* --- waiting -------------------------------------------------------------------------------------
 */

/* One deadline for both: the earlier of what is left of the silence that is allowed, and of the
 * window that the rate is judged in. */
static void arm(struct exchange *x, const struct pace *pace)
{
    uint64_t now_ms = loop_now_ms(x->env->loop);
    uint64_t left_ms = pace_left_ms(pace, now_ms);

    if (x->silent_until_ms != 0 && x->silent_until_ms - now_ms < left_ms)
        left_ms = x->silent_until_ms - now_ms;
    deadline_set(x->env->loop, &x->deadline, left_ms > 0 ? left_ms : 1);
}

void exchange_await(struct exchange *x, enum exchange_wait wait, uint64_t after_ms)
{
    struct pace *pace;

    if (wait == x->wait && !x->moved_on)
        return;
    pace = pace_of(x, wait);
    if (wait != x->wait)
        exchange_await_nothing(x);
    x->wait = wait;
    x->moved_on = false;
    if (pace == NULL) {
        deadline_set(x->env->loop, &x->deadline, after_ms);
        return;
    }
    x->silent_until_ms = after_ms != 0 ? loop_now_ms(x->env->loop) + after_ms : 0;
    count_waiting(x, pace, wait);
    arm(x, pace);
}

void exchange_await_nothing(struct exchange *x)
{
    struct pace *pace = pace_of(x, x->wait);

    if (pace != NULL)
        pace_pause(pace, loop_now_ms(x->env->loop));
    if (x->wait != WAIT_NOTHING)
        deadline_clear(&x->deadline);
    x->wait = WAIT_NOTHING;
}

/* The deadline was there to look at the client's pace, and it is fast enough: on to the next. */
static bool is_fast_enough(struct exchange *x)
{
    struct pace *pace = pace_of(x, x->wait);
    uint64_t now_ms = loop_now_ms(x->env->loop);

    if (pace == NULL || (x->silent_until_ms != 0 && now_ms >= x->silent_until_ms))
        return false;
    if (pace_left_ms(pace, now_ms) == 0) {
        uint64_t bytes = progress(x, x->wait);
        if (!pace_is_kept(pace, x->globals->body_rate, now_ms, bytes))
            return false;
        pace_begin(pace, now_ms, bytes);
    }
    arm(x, pace);
    return true;
}

/* Then it begins to be waited for anew. */
static bool waits_for_others(struct exchange *x)
{
    if (!x->client_stream->client->waits_for_others(x->client_stream))
        return false;
    x->takes = (struct pace){0};
    return true;
}

enum step exchange_run_out_of_time(struct exchange *x)
{
    enum exchange_wait wait = x->wait;

    if (is_fast_enough(x))
        return STEP_AGAIN;
    exchange_await_nothing(x);
    if (wait == WAIT_CLIENT_TAKES && waits_for_others(x))
        return STEP_AGAIN;
    switch (wait) {
    case WAIT_CLIENT_HEAD:
        forwarded_facts(x->env, x->globals, x->client, &x->arena, &(struct http_fields){0},
                        &x->facts);
        return exchange_fail(x, REASON_HEADER_TIMEOUT);
    case WAIT_CLIENT_TAKES:
        x->has_begun = true; /* nothing that we could write would be taken either */
        return exchange_fail(x, REASON_BODY_TIMEOUT);
    case WAIT_CACHE: return exchange_pass_by_cache(x);
    case WAIT_FILE: return exchange_fail(x, REASON_OVER_LIMIT);
    case WAIT_CLIENT_SENDS: return exchange_fail(x, REASON_BODY_TIMEOUT);
    case WAIT_CONTINUE: x->awaits_continue = false; return STEP_AGAIN;
    case WAIT_FIRST_BYTE:
    case WAIT_HEDGE: return STEP_AGAIN; /* exchange_await_answer sees what has run out */
    case WAIT_BACKEND_TAKES:
    case WAIT_BACKEND_SENDS: return exchange_fail(x, REASON_BACKEND_IDLE);
    case WAIT_TUNNEL: return exchange_fail(x, REASON_TUNNEL_IDLE);
    case WAIT_NOTHING: break;
    }
    return STEP_AGAIN;
}
