#include "proxy/http2_ends.h"

#include <criterion/criterion.h>

Test(http2_ends, each_word_has_a_metric_of_its_own)
{
    for (int i = 0; i < HTTP2_ENDS; i++) {
        cr_assert_eq(http2_end_of(http2_ends[i].word), &http2_ends[i]);
        for (int j = 0; j < i; j++)
            cr_assert_neq(http2_ends[i].metric, http2_ends[j].metric);
    }
}

Test(http2_ends, words_in_either_case)
{
    cr_assert_eq(http2_end_of("ENHANCE_YOUR_CALM")->metric, METRIC_HTTP2_ENDED_CALM);
    cr_assert_eq(http2_end_of("header_timeout")->metric, METRIC_HTTP2_ENDED_HEADER_TIMEOUT);
}

Test(http2_ends, words_that_nobody_knows_are_others)
{
    cr_assert_eq(http2_end_of("HTTP_1_1_REQUIRED")->metric, METRIC_HTTP2_ENDED_OTHER);
    cr_assert_eq(http2_end_of("")->metric, METRIC_HTTP2_ENDED_OTHER);
}
