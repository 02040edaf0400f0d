#include "control/metrics_text.h"

#include "control/process_metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct buffer out;

static void end(void)
{
    buffer_clear(&out);
    buffer_cache_clear();
}

TestSuite(metrics_text, .fini = end);

static const char *written(void)
{
    buffer_append(&out, slice_make("", 1));
    return buffer_content(&out).at;
}

Test(metrics_text, single)
{
    metrics_single(&out, "a_total", "counter", "How many.", 18446744073709551615u);
    cr_expect_str_eq(written(), "# HELP a_total How many.\n"
                                "# TYPE a_total counter\n"
                                "a_total 18446744073709551615\n");
}

Test(metrics_text, labels)
{
    struct metrics_family family = metrics_begin(&out, "a", "gauge", "H.");
    family.labels[0] = (struct metrics_label){"one", slice_of("1")};
    family.labels[1] = (struct metrics_label){"two", slice_of("")};
    metrics_sample(&family, 0);
    cr_expect_str_eq(written(), "# HELP a H.\n# TYPE a gauge\na{one=\"1\",two=\"\"} 0\n");
}

static void expect_escaped(struct slice value, const char *expected)
{
    struct metrics_family family = {.out = &out, .name = "a", .labels = {{"l", value}}};
    char line[128];
    buffer_clear(&out);
    metrics_sample(&family, 1);
    snprintf(line, sizeof(line), "a{l=\"%s\"} 1\n", expected);
    cr_expect_str_eq(written(), line);
}

Test(metrics_text, values_are_escaped)
{
    expect_escaped(slice_of("\"a\\b\nc\""), "\\\"a\\\\b\\nc\\\"");
    expect_escaped(slice_of("a\tb"), "a\tb");
    expect_escaped(slice_of("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
    expect_escaped(slice_of("\xff"), "\xef\xbf\xbd");
    expect_escaped(slice_of("a\xc3"), "a\xef\xbf\xbd");
    expect_escaped(slice_of("\xed\xa0\x80z"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

Test(metrics_text, seconds)
{
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {{0, "a 0\n"},
                {1, "a 0.000001\n"},
                {1000, "a 0.001\n"},
                {2500, "a 0.0025\n"},
                {1000000, "a 1\n"},
                {1100000, "a 1.1\n"},
                {999999, "a 0.999999\n"},
                {60000010, "a 60.00001\n"}};
    struct metrics_family family = {.out = &out, .name = "a"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buffer_clear(&out);
        metrics_sample_us(&family, rows[i].us);
        cr_expect_str_eq(written(), rows[i].text);
    }
}

Test(metrics_text, histograms_add_up)
{
    uint64_t counts[HISTOGRAM_BOUNDS + 1] = {[0] = 2, [3] = 1, [HISTOGRAM_BOUNDS] = 4};
    struct metrics_family family = {.out = &out, .name = "a", .labels = {{"l", slice_of("x")}}};
    metrics_histogram(&family, counts, 1500000);
    const char *text = written();
    cr_expect_not_null(strstr(text, "a_bucket{l=\"x\",le=\"0.001\"} 2\n"));
    cr_expect_not_null(strstr(text, "a_bucket{l=\"x\",le=\"0.005\"} 2\n"));
    cr_expect_not_null(strstr(text, "a_bucket{l=\"x\",le=\"0.01\"} 3\n"));
    cr_expect_not_null(strstr(text, "a_bucket{l=\"x\",le=\"60\"} 3\n"));
    cr_expect_not_null(strstr(text, "a_bucket{l=\"x\",le=\"+Inf\"} 7\n"));
    cr_expect_not_null(strstr(text, "a_sum{l=\"x\"} 1.5\n"));
    cr_expect_not_null(strstr(text, "a_count{l=\"x\"} 7\n"));
}

/* The texts of the bounds are what is counted by. */
Test(metrics_text, bounds_are_what_they_say)
{
    uint64_t counts[HISTOGRAM_BOUNDS + 1] = {0};
    struct metrics_family family = {.out = &out, .name = "a"};
    metrics_histogram(&family, counts, 0);
    const char *at = written();
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
        at = strstr(at, "le=\"");
        cr_assert_not_null(at);
        at += 4;
        cr_expect_float_eq(strtod(at, NULL), histogram_bounds_us[i] / 1e6, 1e-9);
    }
}

Test(metrics_text, process)
{
    process_metrics_print(&out);
    const char *text = written();
    static const char *const names[] = {"\nprocess_cpu_seconds_total ",
                                        "\nprocess_open_fds ",
                                        "\nprocess_max_fds ",
                                        "\nprocess_resident_memory_bytes ",
                                        "\nprocess_virtual_memory_bytes ",
                                        "\nprocess_start_time_seconds "};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *at = strstr(text, names[i]);
        cr_assert_not_null(at, "%s in %s", names[i], text);
        cr_expect_geq(strtod(at + strlen(names[i]), NULL), 0);
    }
    double started = strtod(strstr(text, "\nprocess_start_time_seconds ") + 28, NULL);
    cr_expect_lt(started, (double)time(NULL) + 2);
    cr_expect_gt(started, (double)time(NULL) - 24 * 3600);
}
