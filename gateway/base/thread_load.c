#include "base/thread_load.h"

#include "base/clock.h"

#include <stddef.h>

enum { TOO_OLD_US = 10 * LOAD_WINDOW_US };

static const struct load_sample *sample_before(const struct thread_load *load, unsigned back)
{
    return &load->samples[(load->newest + LOAD_SAMPLES - back) % LOAD_SAMPLES];
}

/* The newest one that is a second old; NULL. */
static const struct load_sample *begin_of_window(const struct thread_load *load, uint64_t now_us)
{
    for (unsigned back = 0; back < load->count; back++) {
        const struct load_sample *sample = sample_before(load, back);
        if (now_us - sample->now_us >= LOAD_WINDOW_US)
            return now_us - sample->now_us <= TOO_OLD_US ? sample : NULL;
    }
    return NULL;
}

bool thread_load_judge(struct thread_load *load, uint64_t now_us, uint64_t used_us)
{
    const struct load_sample *begin = begin_of_window(load, now_us);

    load->is_high = begin != NULL && (used_us - begin->used_us) * 100 >=
                                         (now_us - begin->now_us) * LOAD_HIGH_PERCENT;
    load->newest = (load->newest + 1) % LOAD_SAMPLES;
    load->samples[load->newest] = (struct load_sample){.now_us = now_us, .used_us = used_us};
    if (load->count < LOAD_SAMPLES)
        load->count++;
    return load->is_high;
}

bool thread_load_is_high(struct thread_load *load, uint64_t now_us)
{
    if (load->count > 0 && now_us - sample_before(load, 0)->now_us < LOAD_SAMPLE_US)
        return load->is_high;
    return thread_load_judge(load, now_us, clock_thread_us());
}
