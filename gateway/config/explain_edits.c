/* What a route's `headers` make of a request and its response, and where each edit was written. */
#include "config/explain.h"

#include "http/target.h"

/* What only a real request has is its placeholder still. */
static void find_values(const struct explanation *e, struct arena *arena,
                        struct slice values[PLACEHOLDER_COUNT])
{
    values[PLACEHOLDER_REQUEST_ID] = slice_of("{request_id}");
    values[PLACEHOLDER_CLIENT_IP] =
        e->followed.client_ip.len > 0 ? e->followed.client_ip : slice_of("{client_ip}");
    values[PLACEHOLDER_SNI] = e->followed.sni;
    values[PLACEHOLDER_HOST] = host_in_url(arena, e->followed.host);
    values[PLACEHOLDER_ROUTE] = e->followed.route->name;
}

unsigned explain_edits(const struct explanation *e, const struct route_target *target,
                       enum setting setting, struct arena *arena, struct explained_edit **list)
{
    static const char *const keys[2][3] = {
        {"headers.request.remove", "headers.request.set", "headers.request.add"},
        {"headers.response.remove", "headers.response.set", "headers.response.add"}};
    bool of_response = setting == SETTING_RESPONSE_HEADERS;
    const struct route *route = e->followed.route;
    const struct settings *settings = target ? &target->settings : &route->settings;
    const struct header_edits *edits =
        of_response ? &settings->response_headers : &settings->request_headers;
    struct slice values[PLACEHOLDER_COUNT] = {{NULL, 0}};

    find_values(e, arena, values);
    *list = arena_alloc(arena, (edits->count + 1) * sizeof(**list));
    for (unsigned i = 0; i < edits->count; i++) {
        const struct header_edit *edit = &edits->list[i];
        bool is_member = edit->kind != HEADER_REMOVE; /* else an element of a list */
        (*list)[i] = (struct explained_edit){
            .edit = edit,
            .value = slice_trim(template_fill(&edit->value, values, arena)),
            .from =
                explain_place(arena, (enum setting_place)edit->from, keys[of_response][edit->kind],
                              is_member ? edit->name : slice_of(""), route, target)};
    }
    return edits->count;
}
