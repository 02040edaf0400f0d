#include "h2_cases.h"

#include "monitor.h"
#include "workplace.h"

#include <stdlib.h>
#include <string.h>

/* --- the world ------------------------------------------------------------------------------ */

/* Neither reads nor answers; ends with the test. */
static void stay_deaf(struct origin_turn *turn)
{
    gate_wait(turn->arg);
    turn->is_closing = true;
}

struct h2_world *h2_world_start(void)
{
    static uint64_t pattern_bytes = H2_PATTERN_BYTES;
    struct h2_world *world = workplace_own(calloc(1, sizeof *world), free);

    world->origin = origin_start("one");
    origin_set_script(world->origin, H2_ECHO, origin_echo, NULL);
    origin_set_script(world->origin, H2_PATTERN, origin_send_pattern, &pattern_bytes);
    origin_set_script(world->origin, H2_HANG, origin_hang, NULL);
    origin_set_script(world->origin, H2_DEAF, stay_deaf, gate_new());
    world->gateway =
        gateway_start("{ @base, 'routes': { 'a.test': '%s' } }", origin_address(world->origin));
    return world;
}

void h2_world_stop(struct h2_world *world)
{
    for (unsigned i = 0; i < world->client_count; i++)
        h2_close(world->clients[i]);
    SSL_CTX_free(world->context);
    gateway_stop(world->gateway);
}

static struct h2_client *open_client(struct h2_world *world, const struct h2_options *options)
{
    struct client_options tls = {.context = world->context};
    struct h2_options with = options != NULL ? *options : (struct h2_options){.sni = NULL};

    with.tls = &tls;
    struct h2_client *client = h2_open(world->gateway, &with);
    client->options.tls = NULL;
    if (world->context == NULL) {
        world->context = client->tls->context;
        SSL_CTX_up_ref(world->context);
    }
    return client;
}

struct h2_client *h2_world_client(struct h2_world *world, const struct h2_options *options)
{
    workplace_require(world->client_count < H2_WORLD_CLIENTS, "too many clients for the harness");
    return world->clients[world->client_count++] = open_client(world, options);
}

/* --- rows ----------------------------------------------------------------------------------- */

static bool is_none(const struct h2_frame *frame)
{
    return frame->type == H2_DATA && frame->stream == 0 && frame->payload == NULL && !frame->lies;
}

static void send_case(struct h2_client *client, const struct h2_case *of)
{
    const char *const *request = of->request != NULL ? of->request : of->request_head;

    h2_hold(client);
    if (request != NULL) {
        h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                     .fields = request,
                                                     .ends_stream = of->request != NULL});
        h2_stream(client, 1)->is_head = strcmp(request[1], "HEAD") == 0;
    }
    for (int i = 0; i < H2_CASE_FRAMES && !is_none(&of->frames[i]); i++)
        h2_send_frame(client, &of->frames[i]);
    h2_release(client);
    if (of->play != NULL)
        of->play(client);
    client->next_stream = client->highest_stream == 0 ? 1 : client->highest_stream + 2;
}

static bool was_opened(const struct h2_client *client, uint32_t stream)
{
    return stream % 2 == 1 && stream <= client->highest_stream;
}

static void expect_no_error(struct h2_client *client, uint32_t stream)
{
    h2_settle(client);
    h2_require(client, !was_opened(client, stream) || !h2_stream(client, stream)->was_reset,
               "stream %u is reset with %s", stream,
               h2_code_name(h2_stream(client, stream)->reset_code));
    h2_expect_served(client);
}

/* For what is open: an error of any kind, or none. Behind a PING either has shown. */
static void expect_anything(struct h2_client *client, const struct h2_case *of)
{
    struct h2_frame frame;
    unsigned pongs = client->ping_acks;

    h2_send_ping(client, 1, false);
    while (client->ping_acks == pongs && client->goaways == 0)
        h2_require(client, h2_read_frame(client, &frame), "neither a GOAWAY nor a life sign");
    if (client->goaways == 0)
        h2_expect_served(client);
    else
        h2_expect_connection_error_of(client, of->codes);
}

static void expect_outcome(struct h2_client *client, const struct h2_case *of)
{
    uint32_t stream = of->stream != 0 ? of->stream : 1;

    switch (of->outcome) {
    case H2_IS_SERVED:
        if (was_opened(client, stream))
            h2_expect_response(client, stream, 200);
        expect_no_error(client, stream);
        break;
    case H2_IS_IGNORED: expect_no_error(client, stream); break;
    case H2_IS_ANSWERED:
        h2_expect_response(client, stream, of->status);
        expect_no_error(client, stream);
        break;
    case H2_IS_STREAM_ERROR:
        h2_expect_stream_error_of(client, stream, of->codes);
        h2_expect_served(client);
        break;
    case H2_IS_CONNECTION_ERROR: h2_expect_connection_error_of(client, of->codes); break;
    case H2_IS_EITHER_ERROR:
        h2_expect_error(client, stream, of->codes);
        if (client->goaways == 0) /* yet */
            expect_anything(client, of);
        break;
    case H2_IS_IGNORED_OR_ERROR: expect_anything(client, of); break;
    }
}

/* Of what is refused nothing may reach the backend. Such rows come first, so that what the others
 * ask for is not seen among theirs. */
static bool is_refused(const struct h2_case *of)
{
    bool is_error = of->outcome == H2_IS_STREAM_ERROR || of->outcome == H2_IS_EITHER_ERROR ||
                    of->outcome == H2_IS_CONNECTION_ERROR;

    return (is_error || (of->outcome == H2_IS_ANSWERED && of->status >= 400)) &&
           !of->may_reach_backend;
}

static void expect_unforwarded(struct h2_world *world, const struct h2_case *of)
{
    int count = origin_requests(world->origin);

    for (; world->looked_at < count; world->looked_at++) {
        const struct message *request = origin_request(world->origin, world->looked_at);
        workplace_require(!is_refused(of) || strcmp(request->target, "/after") == 0,
                          "%s: the backend got\n%s", of->name, request->head);
    }
}

static void play_case(struct h2_world *world, const struct h2_case *of, bool is_slow)
{
    struct h2_client *client = open_client(
        world, &(struct h2_options){.is_slow = is_slow,
                                    .about = text("%s%s", of->name, is_slow ? ", slowly" : "")});

    send_case(client, of);
    expect_outcome(client, of);
    h2_close(client);
    expect_unforwarded(world, of);
}

void h2_play_cases(struct h2_world *world, const struct h2_case *cases, size_t count)
{
    world->looked_at = origin_requests(world->origin);
    for (size_t i = 0; i < 2 * count; i++) {
        const struct h2_case *of = &cases[i % count];
        if (is_refused(of) != (i < count))
            continue;
        play_case(world, of, false);
        if (!of->is_at_once)
            play_case(world, of, true);
    }
}
