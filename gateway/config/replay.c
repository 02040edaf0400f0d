#include "config/replay.h"

#include "config/diff_words.h"

/* --- backends -----------------------------------------------------------------------------------
 */

static bool asks_backend(const struct followed *f)
{
    return f->route && f->status == 0;
}

static bool is_asked(const struct route_target *target)
{
    return target->weight > 0;
}

static bool has_server(struct arena *arena, const struct route *route, struct slice address)
{
    for (unsigned i = 0; i < route->target_count; i++) {
        const struct upstream_spec *upstream = route->targets[i].upstream;
        for (unsigned k = 0; is_asked(&route->targets[i]) && k < upstream->server_count; k++)
            if (upstream->servers[k].weight > 0 &&
                slice_equal(words_address(arena, &upstream->servers[k]), address))
                return true;
    }
    return false;
}

/* How many of a's servers b has too, and how many it has not. */
static void count_shared(struct arena *arena, const struct route *a, const struct route *b,
                         unsigned *shared, unsigned *others)
{
    for (unsigned i = 0; i < a->target_count; i++) {
        const struct upstream_spec *upstream = a->targets[i].upstream;
        for (unsigned k = 0; is_asked(&a->targets[i]) && k < upstream->server_count; k++) {
            if (upstream->servers[k].weight == 0)
                continue;
            if (has_server(arena, b, words_address(arena, &upstream->servers[k])))
                ++*shared;
            else
                ++*others;
        }
    }
}

static bool same_destination(struct arena *arena, const struct route *a, const struct route *b)
{
    unsigned shared = 0, others = 0;

    count_shared(arena, a, b, &shared, &others);
    if (words_same_backends(a, b))
        return shared > 0;
    count_shared(arena, b, a, &shared, &others);
    return others == 0;
}

/* --- own answers --------------------------------------------------------------------------------
 */

static bool same_response(const struct followed *a, const struct followed *b)
{
    bool a_responds = a->route && a->route->kind == ROUTE_RESPOND;
    bool b_responds = b->route && b->route->kind == ROUTE_RESPOND;

    if (!a_responds || !b_responds)
        return a_responds == b_responds;
    return words_same_response(a->route, b->route);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Behind a handshake that both refuse the answers count all the same: the request did come, with a
 * certificate that its files do not hold any more. */
static bool same_answer(struct arena *arena, const struct followed *a, const struct followed *b)
{
    bool a_is_cut = a->unreachable || a->alert, b_is_cut = b->unreachable || b->alert;

    if (a->unreachable || b->unreachable || a_is_cut != b_is_cut)
        return a_is_cut && b_is_cut;
    if (asks_backend(a) && asks_backend(b))
        return slice_equal(a->backend_path, b->backend_path) &&
               same_destination(arena, a->route, b->route);
    return a->status == b->status && slice_equal(a->location, b->location) && same_response(a, b);
}

/* Where it leads, and as what if that is not what the client asked for. */
static struct slice destination_words(struct arena *arena, const struct followed *f)
{
    struct slice route = words_route(arena, f->route);

    if (!asks_backend(f) || slice_equal(f->backend_path, f->path))
        return route;
    return arena_printf(arena, "%.*s as %.*s", (int)route.len, route.at, (int)f->backend_path.len,
                        f->backend_path.at);
}

static struct slice answer_words(struct arena *arena, const struct followed *f,
                                 const struct followed *other)
{
    if (f->unreachable)
        return arena_printf(arena, "nobody (%s)", f->unreachable);
    if (f->alert && !other->alert)
        return arena_printf(arena, "handshake refused (%s)", f->alert);
    if (f->location.len > 0)
        return arena_printf(arena, "%d to %.*s", f->status, (int)f->location.len, f->location.at);
    if (f->route)
        return destination_words(arena, f);
    return arena_printf(arena, "%d %s", f->status, http_reason_word(f->reason));
}

static bool same_certificate(const struct certificate *a, const struct certificate *b)
{
    return a && b ? certificate_fingerprint(a) == certificate_fingerprint(b) : a == b;
}

void replay_request(const struct snapshot *was, const struct snapshot *is,
                    const struct followed_request *request, struct arena *arena,
                    struct replayed *replayed)
{
    struct followed then, now;

    follow_request(was, request, arena, &then);
    follow_request(is, request, arena, &now);
    *replayed = (struct replayed){
        .answer_differs = !same_answer(arena, &then, &now),
        .certificate_differs = !same_certificate(then.certificate, now.certificate),
    };
    if (!replayed->answer_differs)
        return;
    replayed->was = answer_words(arena, &then, &now);
    replayed->is = answer_words(arena, &now, &then);
    if (slice_equal(replayed->was, replayed->is)) /* in what it says, or by other servers */
        replayed->is =
            arena_printf(arena, "%.*s, but another", (int)replayed->is.len, replayed->is.at);
}
