#include "baseline.h"

#include "json_log.h"
#include "monitor.h"
#include "tls_client.h"
#include "workplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct baseline baseline_take(struct gateway *gateway)
{
    return (struct baseline){.files = gateway_open_files(gateway),
                             .rss_kib = gateway_rss_kib(gateway)};
}

long long status_number(const char *member)
{
    struct message *response = ask_admin("GET", "/status");

    expect_status(response, 200);
    return json_integer_value(json_member(json_from(response->body), member));
}

static long requests_in_flight(void)
{
    static const char name[] = "\nsallyport_http_requests_in_flight ";
    struct message *page = ask_admin("GET", "/metrics");
    const char *line = strstr(page->body, name);

    workplace_require(line != NULL, "no gauge of requests in flight");
    return atol(line + strlen(name));
}

void baseline_await(const struct baseline *baseline, struct gateway *gateway, long room_kib)
{
    long long start = monitor_now_ms(), open;
    long in_flight, now;
    int files;

    while ((open = status_number("connections.open")) != 0)
        workplace_require(monitor_may_ask_again(start), "%lld clients are still there", open);
    while ((in_flight = requests_in_flight()) != 0)
        workplace_require(monitor_may_ask_again(start), "%ld requests are under way", in_flight);
    while ((files = gateway_open_files(gateway)) > baseline->files)
        workplace_require(monitor_may_ask_again(start), "%d descriptors are open, not %d", files,
                          baseline->files);
    now = gateway_rss_kib(gateway);
    fprintf(stderr, "%ld KiB before, %ld KiB after\n", baseline->rss_kib, now);
    workplace_require(now - baseline->rss_kib <= room_kib, "memory went from %ld KiB to %ld",
                      baseline->rss_kib, now);
}
