#include "control/metrics_text.h"

#include "base/json_text.h"

/* Runs of what needs no escape go out at once. */
static void put_value(struct buffer *out, struct slice value)
{
    while (value.len > 0) {
        size_t run = 0, width;
        for (; run < value.len; run += width) {
            char c = value.at[run];
            width = json_utf8_length(slice_skip(value, run));
            if (c == '"' || c == '\\' || c == '\n' || width == 0)
                break;
        }
        buffer_append(out, slice_make(value.at, run));
        value = slice_skip(value, run);
        if (value.len == 0)
            return;
        switch (value.at[0]) {
        case '"': buffer_append_text(out, "\\\""); break;
        case '\\': buffer_append_text(out, "\\\\"); break;
        case '\n': buffer_append_text(out, "\\n"); break;
        default: buffer_append_text(out, "\xef\xbf\xbd"); break;
        }
        value = slice_skip(value, 1);
    }
}

static void put_number(struct buffer *out, uint64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buffer_append(out, slice_make(digits + at, sizeof(digits) - at));
}

/* Without zeros at the end: 0.0025, 30. */
static void put_seconds(struct buffer *out, uint64_t us)
{
    char fraction[7] = ".";
    size_t length = 0;

    put_number(out, us / 1000000);
    us %= 1000000;
    for (size_t i = 6; i >= 1; i--, us /= 10) {
        fraction[i] = (char)('0' + us % 10);
        if (length == 0 && fraction[i] != '0')
            length = i + 1;
    }
    buffer_append(out, slice_make(fraction, length));
}

/* The name and the labels, `le` the last of them where it is given. */
static void put_series(const struct metrics_family *family, const char *suffix, const char *le)
{
    struct buffer *out = family->out;
    const char *separator = "{";

    buffer_append_text(out, family->name);
    buffer_append_text(out, suffix);
    for (int i = 0; i < METRICS_LABELS_MAX && family->labels[i].name != NULL; i++) {
        buffer_append_text(out, separator);
        buffer_append_text(out, family->labels[i].name);
        buffer_append_text(out, "=\"");
        put_value(out, family->labels[i].value);
        buffer_append_text(out, "\"");
        separator = ",";
    }
    if (le != NULL) {
        buffer_append_text(out, separator);
        buffer_append_text(out, "le=\"");
        buffer_append_text(out, le);
        buffer_append_text(out, "\"");
        separator = ",";
    }
    buffer_append_text(out, separator[0] == ',' ? "} " : " ");
}

struct metrics_family metrics_begin(struct buffer *out, const char *name, const char *type,
                                    const char *help)
{
    const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        buffer_append_text(out, parts[i]);
    return (struct metrics_family){.out = out, .name = name};
}

void metrics_sample(const struct metrics_family *family, uint64_t value)
{
    put_series(family, "", NULL);
    put_number(family->out, value);
    buffer_append_text(family->out, "\n");
}

void metrics_sample_us(const struct metrics_family *family, uint64_t us)
{
    put_series(family, "", NULL);
    put_seconds(family->out, us);
    buffer_append_text(family->out, "\n");
}

void metrics_histogram(const struct metrics_family *family,
                       const uint64_t counts[HISTOGRAM_BOUNDS + 1], uint64_t sum_us)
{
    static const char *const bounds[HISTOGRAM_BOUNDS + 1] = {
        "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
        "0.5",   "1",      "2.5",   "5",    "10",    "30",   "60",  "+Inf"};
    uint64_t total = 0;

    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        total += counts[i];
        put_series(family, "_bucket", bounds[i]);
        put_number(family->out, total);
        buffer_append_text(family->out, "\n");
    }
    put_series(family, "_sum", NULL);
    put_seconds(family->out, sum_us);
    buffer_append_text(family->out, "\n");
    put_series(family, "_count", NULL);
    put_number(family->out, total);
    buffer_append_text(family->out, "\n");
}

void metrics_single(struct buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    struct metrics_family family = metrics_begin(out, name, type, help);

    metrics_sample(&family, value);
}
