#include "proxy/http2_ends.h"

#include <strings.h>

const struct http2_end http2_ends[HTTP2_ENDS] = {
    {"enhance_your_calm", METRIC_HTTP2_ENDED_CALM},
    {"protocol_error", METRIC_HTTP2_ENDED_PROTOCOL},
    {"flow_control_error", METRIC_HTTP2_ENDED_FLOW_CONTROL},
    {"frame_size_error", METRIC_HTTP2_ENDED_FRAME_SIZE},
    {"compression_error", METRIC_HTTP2_ENDED_COMPRESSION},
    {"stream_closed", METRIC_HTTP2_ENDED_STREAM_CLOSED},
    {"header_timeout", METRIC_HTTP2_ENDED_HEADER_TIMEOUT},
    {"over_limit", METRIC_HTTP2_ENDED_OVER_LIMIT},
    {"other", METRIC_HTTP2_ENDED_OTHER},
};

const struct http2_end *http2_end_of(const char *problem)
{
    for (int i = 0; i < HTTP2_ENDS; i++)
        if (strcasecmp(http2_ends[i].word, problem) == 0)
            return &http2_ends[i];
    return &http2_ends[HTTP2_ENDS - 1];
}
