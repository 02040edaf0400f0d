/* The Prometheus text format (version 0.0.4), one family and one sample at a time. */
#ifndef CONTROL_METRICS_TEXT_H
#define CONTROL_METRICS_TEXT_H

#include "base/buffer.h"
#include "base/histogram.h"

enum { METRICS_LABELS_MAX = 4 };

struct metrics_label {
    const char *name;
    struct slice value; /* any bytes: escaped, and what is no UTF-8 shows as U+FFFD */
};

/* A family under way; samples go to `out` as they come. */
struct metrics_family {
    struct buffer *out;
    const char *name;
    struct metrics_label labels[METRICS_LABELS_MAX]; /* of the next sample; the first unnamed one
                                                        ends them */
};

/* Writes HELP and TYPE ("counter", "gauge", "histogram"). */
struct metrics_family metrics_begin(struct buffer *out, const char *name, const char *type,
                                    const char *help);

void metrics_sample(const struct metrics_family *family, uint64_t value);
/* In seconds. */
void metrics_sample_us(const struct metrics_family *family, uint64_t us);
/* Buckets, sum and count; `counts` as in struct histogram, each by its own bound. */
void metrics_histogram(const struct metrics_family *family,
                       const uint64_t counts[HISTOGRAM_BOUNDS + 1], uint64_t sum_us);

/* A family of one sample without labels. */
void metrics_single(struct buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value);

#endif
