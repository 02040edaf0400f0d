#include "h2_flood.h"

#include "json_log.h"
#include "monitor.h"
#include "workplace.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENOUGH = 10000,        /* of anything */
    WAVE = 50,             /* frames that leave together */
    EACH_CONNECTION = 100, /* requests of the other client's */
    GROWTH_KIB = 4 * 1024, /* of memory at most, meanwhile */
};

#define FLOODED                                                                            \
    "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/admin.sock' },"             \
    "  'certs': 'certs', 'log': { 'format': 'json', 'level': 'debug', 'access': 'off' }, " \
    "  'routes': { 'a.test': '%s', 'b.test': '%s' } }"

/* --- who is there as well --------------------------------------------------------------------- */

/* One request of the other client's, which makes a new connection now and then. */
static void ask_as_ever(void *arg, unsigned n)
{
    static const struct h2_options options = {.sni = "b.test"};
    struct h2_scene *scene = arg;
    uint32_t stream;

    if (n % EACH_CONNECTION == 0 && scene->bystander != NULL) {
        h2_free(scene->bystander);
        scene->bystander = NULL;
    }
    if (scene->bystander == NULL)
        scene->bystander = h2_make(scene->gateway, &options);
    if (scene->bystander == NULL) {
        workplace_note("another client is not let in");
        return;
    }
    stream = h2_get(scene->bystander, "/x");
    expect_from(h2_response(scene->bystander, stream), "other");
    h2_forget(scene->bystander, stream);
}

static void await_one_served(struct h2_scene *scene)
{
    origin_wait_requests(scene->other, origin_requests(scene->other) + 1);
}

struct h2_scene *h2_scene_begin(void)
{
    struct h2_scene *scene = workplace_own(calloc(1, sizeof *scene), free);

    scene->attacked = origin_start("attacked");
    scene->other = origin_start("other");
    origin_set_script(scene->attacked, "/hang", origin_hang, NULL);
    origin_set_script(scene->attacked, "/echo", origin_echo, NULL);
    origin_count_only(scene->attacked);
    origin_count_only(scene->other);
    scene->gateway =
        gateway_start(FLOODED, origin_address(scene->attacked), origin_address(scene->other));
    for (unsigned n = 0; n < 2 * EACH_CONNECTION; n++)
        ask_as_ever(scene, n);
    scene->rss_kib = gateway_rss_kib(scene->gateway);
    gateway_forget_peak(scene->gateway);
    scene->crowd = crowd_start(1, 0, ask_as_ever, scene);
    await_one_served(scene);
    return scene;
}

static long ended_for(const char *reason)
{
    struct message *page = ask_admin("GET", "/metrics");
    const char *series = text("sallyport_http2_connections_ended_total{reason=\"%s\"} ", reason);
    const char *line = strstr(page->body, series);

    workplace_require(line != NULL, "no %s in\n%s", series, page->body);
    return atol(line + strlen(series));
}

void h2_scene_expect_bounds(struct h2_scene *scene, unsigned requests)
{
    long grown = gateway_peak_kib(scene->gateway) - scene->rss_kib;
    unsigned seen = (unsigned)origin_requests(scene->attacked);

    fprintf(stderr, "%u requests at the backend, %ld KiB more\n", seen, grown);
    workplace_require(seen <= requests, "%u requests reached the backend", seen);
    workplace_require(gateway_is_sanitized(scene->gateway) || grown <= GROWTH_KIB,
                      "memory grew by %ld KiB", grown);
}

/* Asked once more, it still answers; all that the flood took is given back. */
void h2_scene_end(struct h2_scene *scene)
{
    await_one_served(scene);
    crowd_end(scene->crowd);
    ask_as_ever(scene, 0);
    h2_free(scene->bystander);
    gateway_stop(scene->gateway);
}

/* --- floods ----------------------------------------------------------------------------------- */

bool h2_scene_has_ended(const struct h2_client *client)
{
    return client->was_refused || client->goaways > 0 || client->tls->wire.state != WIRE_OPEN;
}

static void await_newest(struct h2_client *client)
{
    struct h2_stream *stream = h2_stream(client, client->next_stream - 2);
    struct h2_frame frame;

    while (!h2_scene_has_ended(client) && !stream->was_reset && !stream->has_ended &&
           h2_read_frame(client, &frame)) {
    }
}

/* How many pieces were sent. */
static unsigned pour(struct h2_client *client, const struct h2_flood *flood)
{
    unsigned most = flood->pieces != 0 ? flood->pieces : ENOUGH, n = 0;

    while (n < most && !h2_scene_has_ended(client)) {
        h2_hold(client);
        for (unsigned i = 0; i < WAVE && n < most; i++)
            flood->send(client, n++);
        h2_release(client);
        if (flood->waits)
            await_newest(client);
        else if (!flood->is_deaf)
            h2_read_pending(client);
    }
    return n;
}

/* GOAWAY, unless what was still under way made it a reset. */
static void expect_told(struct h2_client *client)
{
    struct h2_frame frame;

    while (h2_read_frame(client, &frame)) {
    }
    workplace_require(client->tls->wire.state != WIRE_TIMED_OUT, "the connection goes on");
    workplace_require(client->goaways > 0 || client->tls->wire.state == WIRE_RESET,
                      "ended without GOAWAY");
    if (client->goaways > 0)
        workplace_require(client->goaway_code == H2_ENHANCE_YOUR_CALM, "GOAWAY with %s",
                          h2_code_name(client->goaway_code));
}

void h2_scene_await_ended(long count)
{
    long long start = monitor_now_ms();

    while (ended_for("enhance_your_calm") != count)
        workplace_require(monitor_may_ask_again(start), "not counted");
}

void h2_scene_expect_calm(struct h2_scene *scene, struct h2_client *client)
{
    expect_told(client);
    h2_scene_await_ended(1);
    gateway_wait_stderr(scene->gateway, "127.0.0.1: enhance_your_calm", NULL);
    gateway_wait_stderr(scene->gateway, "http2_flood", NULL);
}

void h2_flood_expect_ended(const struct h2_flood *flood)
{
    struct h2_scene *scene = h2_scene_begin();
    struct h2_client *client = h2_open(scene->gateway, flood->options);

    if (flood->begin != NULL)
        flood->begin(client);
    fprintf(stderr, "%u pieces sent\n", pour(client, flood));
    h2_scene_expect_calm(scene, client);
    h2_scene_expect_bounds(scene, flood->requests);
    h2_scene_end(scene);
}
