/* HTTP/2: whose frames go first (RFC 9218). The connection's window is empty while responses
 * become ready, and is opened a little at a time: what of each leaves then is its turn. */
#include "harness/h2_scene.h"
#include "harness/monitor.h"
#include "harness/pattern.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_urgency);

/* A response, and what the window is opened by. */
enum { SIZE = 8192, STEP = 2048, INITIAL = 65535 };

static const struct h2_setting large_streams = {H2_INITIAL_WINDOW_SIZE, 1 << 24};

struct race {
    struct h2_scene scene;
    struct h2_client *client;
};

static const char *reply_of(size_t bytes, const char *fields)
{
    char *body = text("%*s", (int)bytes, "");

    memset(body, 'x', bytes);
    return text("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n%s", bytes, fields, body);
}

/* With the connection's window used up. */
static struct race race_start_with(const char *keys)
{
    struct race race = {.scene = h2_scene_start(keys)};

    origin_set_reply(race.scene.origin, "/fill", reply_of(INITIAL, ""));
    origin_set_reply(race.scene.origin, "/x", reply_of(SIZE, ""));
    race.client = h2_open(race.scene.gateway, &(struct h2_options){.settings = &large_streams,
                                                                   .setting_count = 1,
                                                                   .withholds_windows = true});
    h2_expect_response(race.client, h2_get(race.client, "/fill"), 200);
    cr_assert_eq(race.client->window, 0);
    return race;
}

static struct race race_start(void)
{
    return race_start_with("");
}

/* A request whose response's head has come, and whose body could. */
static uint32_t join_with(struct race *race, const char *path, const char *priority)
{
    const char *const *fields = priority != NULL ? H2_FIELDS("priority", priority) : NULL;
    uint32_t stream =
        h2_send_request(race->client, &(struct h2_request){.path = path, .fields = fields});

    workplace_require(h2_response_head(race->client, stream)->status == 200, "no response");
    return stream;
}

static uint32_t join(struct race *race, const char *priority)
{
    return join_with(race, "/x", priority);
}

/* Lets one step's worth leave, and waits for it. */
static void let_a_step(struct race *race)
{
    struct h2_frame frame;

    h2_send_window(race->client, 0, STEP);
    while (race->client->window > 0)
        workplace_require(h2_read_frame(race->client, &frame), "nobody uses the window");
}

static void expect_progress(struct race *race, uint32_t stream, uint64_t bytes)
{
    uint64_t is = h2_stream(race->client, stream)->data_bytes;

    workplace_require(is == bytes, "%llu bytes of stream %u, not %llu", (unsigned long long)is,
                      stream, (unsigned long long)bytes);
}

/* One whole response leaves, step by step, and it is this one's. */
static void expect_turn(struct race *race, uint32_t stream)
{
    uint64_t before = h2_stream(race->client, stream)->data_bytes;

    for (uint64_t bytes = before + STEP; bytes <= SIZE; bytes += STEP) {
        let_a_step(race);
        expect_progress(race, stream, bytes);
    }
    h2_expect_response(race->client, stream, 200);
}

static void race_stop(struct race *race)
{
    h2_close(race->client);
    gateway_stop(race->scene.gateway);
}

/* --- urgency ------------------------------------------------------------------------------------
 */

Test(h2_urgency, the_most_urgent_first)
{
    struct race race = race_start();
    uint32_t background = join(&race, "u=7"), usual = join(&race, NULL);
    uint32_t urgent = join(&race, "u=0"), image = join(&race, "u=5");

    expect_turn(&race, urgent);
    expect_turn(&race, usual); /* 3 where nothing is said */
    expect_turn(&race, image);
    expect_turn(&race, background);
    race_stop(&race);
}

/* All at once: so they leave. */
Test(h2_urgency, order_of_frames_when_all_may_leave)
{
    struct race race = race_start();
    uint32_t streams[3] = {join(&race, "u=6"), join(&race, "u=4"), join(&race, "u=2")};
    struct h2_frame frame;
    uint32_t order[3];
    int count = 0;

    h2_send_window(race.client, 0, 1 << 20);
    while (count < 3) {
        cr_assert(h2_read_frame(race.client, &frame));
        if (frame.type == H2_DATA && (frame.flags & H2_END_STREAM))
            order[count++] = frame.stream;
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(order[i], streams[2 - i]);
    race_stop(&race);
}

Test(h2_urgency, one_that_comes_later_and_is_urgent_overtakes)
{
    struct race race = race_start();
    uint32_t first = join(&race, "u=5");

    let_a_step(&race);
    expect_progress(&race, first, STEP);
    uint32_t urgent = join(&race, "u=1");
    expect_turn(&race, urgent);
    expect_progress(&race, first, STEP);
    expect_turn(&race, first);
    race_stop(&race);
}

Test(h2_urgency, what_makes_no_sense_is_not_said)
{
    static const char *const nonsense[] = {"u=9", "u=-1", "urgent", "u=\"0\"", "u=0 0", "i=2"};
    struct race race = race_start();

    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        uint32_t odd = join(&race, nonsense[i]), background = join(&race, "u=4");
        uint32_t urgent = join(&race, "u=2");
        expect_turn(&race, urgent);
        expect_turn(&race, odd);
        expect_turn(&race, background);
    }
    race_stop(&race);
}

/* --- incremental --------------------------------------------------------------------------------
 */

Test(h2_urgency, one_after_the_other)
{
    struct race race = race_start();
    uint32_t streams[3];

    for (int i = 0; i < 3; i++)
        streams[i] = join(&race, "u=3");
    for (int i = 0; i < 3; i++)
        expect_turn(&race, streams[i]);
    race_stop(&race);
}

Test(h2_urgency, incremental_ones_share)
{
    struct race race = race_start();
    uint32_t first = join(&race, "u=3, i"), second = join(&race, "i"), low = join(&race, "u=4, i");

    for (int i = 0; i < 4; i++)
        let_a_step(&race);
    for (int i = 0; i < 2; i++) {
        uint64_t is = h2_stream(race.client, i == 0 ? first : second)->data_bytes;
        cr_assert(is > 0 && is < SIZE, "%llu bytes of %d", (unsigned long long)is, i);
    }
    expect_progress(&race, low, 0);
    for (int i = 0; i < 4; i++)
        let_a_step(&race);
    h2_expect_response(race.client, first, 200);
    h2_expect_response(race.client, second, 200);
    expect_turn(&race, low);
    race_stop(&race);
}

/* --- long ones ----------------------------------------------------------------------------------
 */

enum { LONG = 4 << 20, STEPS = 60 };

/* A window that is never the reason to wait: then it is the socket. */
static void open_window(struct race *race)
{
    h2_send_window(race->client, 0, 1 << 30);
}

/* What is urgent has all there is, from its first byte to its last, for as long as its backend
 * keeps up. */
Test(h2_urgency, long_urgent_one_leaves_before_others)
{
    struct race race = race_start();
    struct h2_fountain *fountain = h2_fountain_new(race.scene.origin, "/long", LONG);
    struct h2_frame frame;

    h2_fountain_new(race.scene.origin, "/late", LONG);
    uint32_t late = join_with(&race, "/late", "u=6"), urgent = join_with(&race, "/long", "u=1");
    uint32_t usual = join(&race, NULL);
    h2_fountain_await(fountain, 2 * PATTERN_PIECE);
    h2_settle(race.client);
    for (int i = 0; i < STEPS; i++)
        let_a_step(&race);
    expect_progress(&race, urgent, STEPS * STEP);
    expect_progress(&race, usual, 0);
    open_window(&race);
    while (!h2_stream(race.client, urgent)->has_ended)
        cr_assert(h2_read_frame(race.client, &frame));
    cr_assert(h2_fountain_wait(fountain));
    h2_expect_response(race.client, usual, 200);
    h2_expect_response(race.client, late, 200);
    cr_assert(h2_stream(race.client, late)->response->body_is_pattern);
    race_stop(&race);
}

/* One that is as urgent, and long, keeps nobody from getting a turn. */
Test(h2_urgency, long_one_holds_up_no_equals)
{
    struct race race = race_start();

    h2_fountain_new(race.scene.origin, "/long", LONG);
    uint32_t endless = join_with(&race, "/long", NULL), small = join(&race, NULL);
    while (!h2_stream(race.client, small)->has_ended)
        let_a_step(&race);
    cr_assert_lt(h2_stream(race.client, endless)->data_bytes, 200000);
    open_window(&race);
    h2_expect_response(race.client, endless, 200);
    race_stop(&race);
}

/* Who waits for others on its connection is not at fault: meanwhile one that is, on a connection of
 * its own, is given up. */
Test(h2_urgency, who_waits_for_its_turn_is_not_given_up)
{
    struct race race = race_start_with("'defaults': { 'timeout': { 'body_idle': '2s' } },");
    static const struct h2_setting no_window = {H2_INITIAL_WINDOW_SIZE, 0};
    struct h2_client *idler =
        h2_open(race.scene.gateway, &(struct h2_options){.settings = &no_window,
                                                         .setting_count = 1,
                                                         .withholds_windows = true});

    h2_fountain_new(race.scene.origin, "/endless", (uint64_t)1 << 40);
    uint32_t endless = join_with(&race, "/endless", "u=0"), patient = join(&race, "u=7");
    h2_send_window(race.client, endless, 1 << 30);
    let_a_step(&race);
    uint32_t idle = h2_get(idler, "/x");
    for (h2_response_head(idler, idle); !h2_stream(idler, idle)->was_reset; h2_read_pending(idler))
        let_a_step(&race);
    h2_settle(race.client);
    cr_assert(!h2_stream(race.client, patient)->was_reset);
    h2_send_reset(race.client, endless, H2_CANCEL);
    open_window(&race);
    h2_expect_response(race.client, patient, 200);
    race_stop(&race);
}

/* --- PRIORITY_UPDATE ----------------------------------------------------------------------------
 */

Test(h2_urgency, update_reorders)
{
    struct race race = race_start();
    uint32_t first = join(&race, NULL), second = join(&race, NULL);

    let_a_step(&race);
    expect_progress(&race, first, STEP);
    h2_send_priority_update(race.client, second, "u=0");
    expect_turn(&race, second);
    expect_turn(&race, first);
    race_stop(&race);
}

/* It may come right behind the request, whose field is read later. */
Test(h2_urgency, update_that_comes_with_its_request)
{
    struct race race = race_start();
    uint32_t first = join(&race, "u=2");

    h2_hold(race.client);
    uint32_t second = h2_send_request(
        race.client, &(struct h2_request){.path = "/x", .fields = H2_FIELDS("priority", "u=5")});
    h2_send_priority_update(race.client, second, "u=1");
    h2_release(race.client);
    h2_response_head(race.client, second);
    expect_turn(&race, second);
    expect_turn(&race, first);
    race_stop(&race);
}

/* RFC 9218 section 7: it replaces what the field said, whole. */
Test(h2_urgency, update_replaces_what_the_request_said)
{
    struct race race = race_start();
    uint32_t first = join(&race, "u=1, i"), second = join(&race, "u=2");

    h2_send_priority_update(race.client, first, "i");
    expect_turn(&race, second);
    expect_turn(&race, first);
    race_stop(&race);
}

/* --- the field on its way -----------------------------------------------------------------------
 */

Test(h2_urgency, field_reaches_the_backend)
{
    struct race race = race_start();

    join(&race, "u=1, i");
    expect_field(origin_last_request(race.scene.origin), "priority", "u=1, i");
    join(&race, NULL);
    expect_no_field(origin_last_request(race.scene.origin), "priority");
    race_stop(&race);
}

/* RFC 9218 section 8: who answers knows better; what it leaves out stays. */
Test(h2_urgency, backend_overrides)
{
    struct race race = race_start();

    origin_set_reply(race.scene.origin, "/urgent", reply_of(SIZE, "Priority: u=0\r\n"));
    origin_set_reply(race.scene.origin, "/late", reply_of(SIZE, "Priority: u=7\r\n"));
    uint32_t late = join_with(&race, "/late", "u=0"), usual = join(&race, NULL);
    uint32_t urgent = join_with(&race, "/urgent", NULL);
    expect_turn(&race, urgent);
    expect_turn(&race, usual);
    expect_turn(&race, late);
    race_stop(&race);
}

/* RFC 9218 section 2.1. */
Test(h2_urgency, the_old_scheme_is_declined)
{
    struct race race = race_start();

    h2_settle_settings(race.client);
    cr_assert_eq(race.client->peer[H2_NO_RFC7540_PRIORITIES], 1);
    race_stop(&race);
}
