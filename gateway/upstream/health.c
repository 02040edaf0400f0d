#include "upstream/health.h"

#include <stdio.h>

const char *health_result_name(enum health_result result)
{
    static const char *const names[HEALTH_RESULTS] = {
        [HEALTH_GOOD] = "good",
        [HEALTH_UNRESOLVED] = "unresolved",
        [HEALTH_CONNECT_FAILED] = "connect_failed",
        [HEALTH_CONNECT_TIMEOUT] = "connect_timeout",
        [HEALTH_TIMEOUT] = "timeout",
        [HEALTH_CLOSED] = "closed",
        [HEALTH_BAD_RESPONSE] = "bad_response",
        [HEALTH_STATUS] = "status",
        [HEALTH_BODY] = "body",
        [HEALTH_UNDECIDED] = "undecided",
    };
    return names[result];
}

const char *check_verdict_name(enum check_verdict verdict)
{
    static const char *const names[] = {
        [CHECK_UNKNOWN] = "unknown", [CHECK_UP] = "up", [CHECK_DOWN] = "down"};
    return names[verdict];
}

void health_reason(struct health_outcome outcome, char text[HEALTH_REASON_SIZE])
{
    const char *name = health_result_name(outcome.result);
    if (outcome.result == HEALTH_STATUS)
        snprintf(text, HEALTH_REASON_SIZE, "%s %d", name, outcome.status);
    else
        snprintf(text, HEALTH_REASON_SIZE, "%s", name);
}

bool health_note(struct health *health, const struct health_spec *spec,
                 struct health_outcome outcome)
{
    if (outcome.result == HEALTH_UNDECIDED)
        return false;
    bool is_good = outcome.result == HEALTH_GOOD;
    if (is_good != health->is_good)
        health->in_a_row = 0;
    health->is_good = is_good;
    health->in_a_row += health->in_a_row < UINT32_MAX;
    if (!is_good)
        health->bad = outcome;

    enum check_verdict before = health->verdict;
    if (health->in_a_row >= (is_good ? spec->rise : spec->fall))
        health->verdict = is_good ? CHECK_UP : CHECK_DOWN;
    return health->verdict != before;
}

/* --- when ---------------------------------------------------------------------------------- */

void health_schedule_init(struct health_schedule *schedule, uint64_t seed)
{
    *schedule = (struct health_schedule){.random = {seed}};
}

bool health_schedule_take(struct health_schedule *schedule, uint64_t now_ms, bool is_first)
{
    uint64_t now = now_ms * HEALTH_COST_FIRST, burst = HEALTH_BURST * HEALTH_COST_FIRST;

    if (schedule->taken + burst < now)
        schedule->taken = now - burst;
    if (schedule->taken >= now)
        return false;
    schedule->taken += is_first ? HEALTH_COST_FIRST : HEALTH_COST;
    return true;
}

uint64_t health_schedule_next_ms(struct health_schedule *schedule, uint64_t every_ms,
                                 bool is_second)
{
    uint64_t width_ms = is_second ? every_ms : every_ms / 5;
    return every_ms - width_ms / 2 + random_below(&schedule->random, width_ms + 1);
}
