#include "policy/rate_shared.h"

#include "base/check.h"

#include <stdio.h>

enum {
    ARGUMENTS = 3, /* of each charge: interval, window, whether it is enforced */
    NUMBER_SIZE = 32,
};

static_assert(RATE_CHARGES_MOST * (1 + ARGUMENTS) <= REDIS_WORDS_MOST, "all fit into one call");
static_assert(1 + 2 * RATE_CHARGES_MOST <= REDIS_VALUES_MOST, "all answers fit");

/* Microseconds, as that is what Redis' clock counts in; from 2020 on, so that a double holds small
 * parts of them. What is kept of a client is when its debt has run off, and the window that it is a
 * debt of. */
const char rate_shared_script[] =
    "local clock = redis.call('TIME')\n"
    "local now = (clock[1] - 1577836800) * 1000000 + clock[2]\n"
    "local passes, debts, over = 1, {}, {}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local interval, window = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])\n"
    "  local kept, debt = redis.call('GET', key), 0\n"
    "  if kept then\n"
    "    local due, of = string.match(kept, '^(%S+) (%S+)$')\n"
    "    due, of = tonumber(due), tonumber(of)\n"
    "    if due and of and due > now then\n"
    "      debt = due - now\n"
    "      if of ~= window then debt = debt / of * window end\n"
    "      if debt > window then\n"
    "        debt = window\n"
    "        redis.call('SET', key, string.format('%.3f %.3f', now + debt, window),\n"
    "                   'PX', math.ceil(debt / 1000))\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  debts[i], over[i] = debt, 0\n"
    "  if debt > window - interval + 0.01 then\n"
    "    over[i] = 1\n"
    "    if ARGV[3 * i] == '1' then passes = 0 end\n"
    "  end\n"
    "end\n"
    "local answer = {passes}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  if passes == 1 and over[i] == 0 then\n"
    "    debts[i] = debts[i] + ARGV[3 * i - 2]\n"
    "    redis.call('SET', key, string.format('%.3f %.3f', now + debts[i], ARGV[3 * i - 1]),\n"
    "               'PX', math.ceil(debts[i] / 1000))\n"
    "  end\n"
    "  answer[2 * i] = over[i]\n"
    "  answer[2 * i + 1] = math.ceil(debts[i])\n"
    "end\n"
    "return answer\n";

static struct slice print_us(char text[NUMBER_SIZE], uint64_t ns)
{
    int length = snprintf(text, NUMBER_SIZE, "%llu.%03llu", (unsigned long long)(ns / 1000),
                          (unsigned long long)(ns % 1000));

    return slice_make(text, (size_t)length);
}

struct redis_call *rate_shared_begin(struct redis_client *client, const struct rate_charge *charges,
                                     const struct slice *names, unsigned count, struct task *task)
{
    struct slice words[REDIS_WORDS_MOST];
    char numbers[RATE_CHARGES_MOST][2][NUMBER_SIZE];

    assert(count <= RATE_CHARGES_MOST);
    for (unsigned i = 0; i < count; i++) {
        struct slice *arguments = &words[count + ARGUMENTS * i];
        words[i] = names[i];
        arguments[0] = print_us(numbers[i][0], charges[i].rate.interval_ns);
        arguments[1] = print_us(numbers[i][1], charges[i].rate.window_ns);
        arguments[2] = slice_of(charges[i].is_enforced ? "1" : "0");
    }
    return redis_call_begin(client, words, count, count * (1 + ARGUMENTS), task);
}

enum io rate_shared_answer(struct redis_call *call, struct rate_charge *charges, unsigned count,
                           bool *passes)
{
    int64_t values[REDIS_VALUES_MOST];
    enum io io = redis_call_answer(call, values, 1 + 2 * count);

    if (io != IO_OK)
        return io;
    *passes = values[0] == 1;
    for (unsigned i = 0; i < count; i++) {
        charges[i].is_over = values[1 + 2 * i] != 0;
        charges[i].debt_ns = values[2 + 2 * i] > 0 ? (uint64_t)values[2 + 2 * i] * 1000 : 0;
    }
    return IO_OK;
}
