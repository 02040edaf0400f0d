#include "base/metric.h"

#include "base/check.h"

static const char *const names[METRIC_COUNT] = {
    [METRIC_CONNECTIONS_ACCEPTED] = "connections_accepted",
    [METRIC_CONNECTIONS_OPEN] = "connections_open",
    [METRIC_CONNECTIONS_HANDSHAKING] = "connections_handshaking",
    [METRIC_CONNECTIONS_IDLE] = "connections_idle",
    [METRIC_REFUSED_CONNECTIONS] = "refused_connections",
    [METRIC_REFUSED_CONNECTIONS_PER_IP] = "refused_connections_per_ip",
    [METRIC_REFUSED_HANDSHAKES] = "refused_handshakes",
    [METRIC_REFUSED_DESCRIPTORS] = "refused_descriptors",
    [METRIC_REFUSED_MEMORY] = "refused_memory",
    [METRIC_HANDSHAKES_DONE] = "handshakes_done",
    [METRIC_HANDSHAKES_RESUMED] = "handshakes_resumed",
    [METRIC_HANDSHAKES_FAILED] = "handshakes_failed",
    [METRIC_HANDSHAKES_TLS_1_2] = "handshakes_tls_1_2",
    [METRIC_HANDSHAKES_TLS_1_2_RESUMED] = "handshakes_tls_1_2_resumed",
    [METRIC_HANDSHAKES_TLS_1_3] = "handshakes_tls_1_3",
    [METRIC_HANDSHAKES_TLS_1_3_RESUMED] = "handshakes_tls_1_3_resumed",
    [METRIC_PLAINTEXT_ON_TLS] = "plaintext_on_tls",
    [METRIC_HANDSHAKES_NOT_TLS] = "handshakes_not_tls",
    [METRIC_HANDSHAKES_UNRECOGNIZED_NAME] = "handshakes_unrecognized_name",
    [METRIC_HANDSHAKES_NOTHING_SHARED] = "handshakes_nothing_shared",
    [METRIC_HANDSHAKES_PEER_FAILED] = "handshakes_peer_failed",
    [METRIC_HANDSHAKES_TIMEOUT] = "handshakes_timeout",
    [METRIC_HANDSHAKES_CLIENT_MISSING] = "handshakes_client_cert_missing",
    [METRIC_HANDSHAKES_CLIENT_EXPIRED] = "handshakes_client_cert_expired",
    [METRIC_HANDSHAKES_CLIENT_UNTRUSTED] = "handshakes_client_cert_untrusted",
    [METRIC_HANDSHAKES_CLIENT_REFUSED] = "handshakes_client_cert_refused",
    [METRIC_HANDSHAKES_SILENT] = "handshakes_silent",
    [METRIC_PROXY_NO_HEADER] = "proxy_protocol_no_header",
    [METRIC_PROXY_MALFORMED] = "proxy_protocol_malformed",
    [METRIC_PROXY_TOO_LONG] = "proxy_protocol_too_long",
    [METRIC_PROXY_CHECKSUM] = "proxy_protocol_checksum",
    [METRIC_PROXY_CUT] = "proxy_protocol_cut",
    [METRIC_PROXY_TIMEOUT] = "proxy_protocol_timeout",
    [METRIC_REQUESTS] = "requests",
    [METRIC_REQUESTS_IN_FLIGHT] = "requests_in_flight",
    [METRIC_RESPONSES_1XX] = "responses_1xx",
    [METRIC_RESPONSES_2XX] = "responses_2xx",
    [METRIC_RESPONSES_3XX] = "responses_3xx",
    [METRIC_RESPONSES_4XX] = "responses_4xx",
    [METRIC_RESPONSES_5XX] = "responses_5xx",
    [METRIC_BAD_REQUESTS] = "bad_requests",
    [METRIC_CLIENT_GONE] = "client_gone",
    [METRIC_TUNNELS] = "tunnels",
    [METRIC_BYTES_IN] = "bytes_in",
    [METRIC_BYTES_OUT] = "bytes_out",
    [METRIC_UPSTREAM_CONNECTS] = "upstream_connects",
    [METRIC_UPSTREAM_CONNECT_FAILURES] = "upstream_connect_failures",
    [METRIC_UPSTREAM_REUSED] = "upstream_reused",
    [METRIC_UPSTREAM_RETRIES] = "upstream_retries",
    [METRIC_UPSTREAM_RETRIES_REFUSED] = "upstream_retries_refused",
    [METRIC_UPSTREAM_HEDGES] = "upstream_hedges",
    [METRIC_LOG_DROPPED] = "log_dropped",
};

const char *metric_name(enum metric which)
{
    assert((unsigned)which < METRIC_COUNT && names[which] != NULL);
    return names[which];
}
