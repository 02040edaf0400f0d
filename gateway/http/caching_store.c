/* What may be kept, which fields of it, and for how long it is good (RFC 9111 sections 3, 4.2). */
#include "http/caching_internal.h"
#include "http/http_date.h"

enum {
    HEURISTIC_PART = 10, /* of the time since it was modified (section 4.2.2) */
    HEURISTIC_MOST_S = 24 * 3600,
};

/* --- how long it is good -------------------------------------------------------------------- */

static int32_t saturate(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > CACHE_SECONDS_MOST ? CACHE_SECONDS_MOST : (int32_t)seconds;
}

/* Of the first Age field, or of the first member of its list (section 5.1); 0 without, and for what
 * is no number. */
static int32_t age_value(const struct http_fields *fields)
{
    const struct http_field *age = http_fields_find(fields, slice_of("age"));
    struct slice rest, first;
    int32_t seconds;

    if (!age)
        return 0;
    rest = age->value;
    if (slice_next_in_list(&rest, &first) && cache_control_read_seconds(first, &seconds))
        return seconds;
    return 0;
}

/* corrected_initial_age (section 4.2.3) */
static int32_t initial_age(const struct http_fields *fields, struct caching_times times)
{
    int64_t date, apparent = 0;
    int64_t delay = times.answered_s > times.asked_s ? times.answered_s - times.asked_s : 0;
    int64_t corrected = age_value(fields) + delay;

    if (caching_date(fields, "date", times.answered_s, &date))
        apparent = times.answered_s - date;
    return saturate(apparent > corrected ? apparent : corrected);
}

/* Whether there is an Expires field, and how long it lets the response live: the least of several,
 * nothing if one is no date (section 5.3). */
static bool read_expires(const struct http_fields *fields, int64_t date_s, int64_t now_s,
                         int32_t *lifetime)
{
    bool is_there = false;

    *lifetime = CACHE_SECONDS_MOST;
    for (uint32_t i = 0; i < fields->count; i++) {
        int64_t expires;
        int32_t seconds = 0;

        if (!IS_NAMED(fields->list[i].name, "expires"))
            continue;
        is_there = true;
        if (http_date_read(fields->list[i].value, now_s, &expires))
            seconds = saturate(expires - date_s);
        if (seconds < *lifetime)
            *lifetime = seconds;
    }
    return is_there;
}

/* RFC 9110 section 15.1, but for 206. */
static bool is_heuristically_cacheable(int status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501: return true;
    default: return false;
    }
}

static int32_t guess_lifetime(const struct http_fields *fields, int status, bool is_public,
                              int64_t date_s)
{
    int64_t modified, lifetime;

    if (!is_heuristically_cacheable(status) && !is_public)
        return 0;
    if (!caching_date(fields, "last-modified", date_s, &modified) || modified > date_s)
        return 0;
    lifetime = (date_s - modified) / HEURISTIC_PART;
    return lifetime < HEURISTIC_MOST_S ? (int32_t)lifetime : HEURISTIC_MOST_S;
}

/* What may be done with it beyond its lifetime. */
static void read_stale_life(const struct cache_control *control, const struct caching_rules *rules,
                            struct caching_life *life)
{
    bool is_strict = control->must_revalidate || control->proxy_revalidate;

    life->must_validate = control->no_cache;
    life->never_stale = is_strict || control->s_maxage != CACHE_SECONDS_NONE;
    if (is_strict || control->no_cache)
        return;
    if (control->stale_while_revalidate != CACHE_SECONDS_NONE)
        life->while_revalidate_s = control->stale_while_revalidate;
    if (control->stale_if_error != CACHE_SECONDS_NONE)
        life->if_error_s = control->stale_if_error;
    /* The operator's word is a weaker permission than s-maxage is a prohibition, and does not
     * reach responses that may be somebody's own, for all that they say. */
    else if (!life->never_stale && (!life->is_heuristic || life->fresh_s > 0))
        life->if_error_s = rules->stale_if_error_s;
}

void caching_read_life(const struct http_fields *fields, int status,
                       const struct cache_control *control, const struct caching_rules *rules,
                       struct caching_times times, struct caching_life *life)
{
    struct caching_etag etag;
    int64_t date = times.answered_s, modified;

    (void)caching_date(fields, "date", times.answered_s, &date);
    *life = (struct caching_life){
        .born_s = times.answered_s - initial_age(fields, times),
        .is_immutable = control->immutable,
        .has_validator = caching_etag_of(fields, &etag) ||
                         caching_date(fields, "last-modified", times.answered_s, &modified),
    };
    if (control->s_maxage != CACHE_SECONDS_NONE) {
        life->fresh_s = control->s_maxage;
    } else if (control->max_age != CACHE_SECONDS_NONE) {
        life->fresh_s = control->max_age;
    } else if (control->is_targeted ||
               !read_expires(fields, date, times.answered_s, &life->fresh_s)) {
        life->is_heuristic = true;
        life->fresh_s = guess_lifetime(fields, status, control->is_public, date);
    }
    read_stale_life(control, rules, life);
    /* Nobody said that others may have it: to be given only when the backend agrees each time. */
    if (life->is_heuristic && life->fresh_s == 0)
        life->must_validate = true;
}

/* --- what may be kept ----------------------------------------------------------------------- */

static bool is_listed(struct slice names, struct slice name)
{
    struct slice one;

    while (slice_next_in_list(&names, &one))
        if (slice_equal_nocase(one, name))
            return true;
    return false;
}

/* It sets a cookie, and does not say itself that the rest is everybody's. */
static bool sets_cookie(const struct http_fields *fields, const struct cache_control *control)
{
    struct slice name = slice_of("set-cookie");

    return http_fields_get(fields, FIELD_SET_COOKIE) && !is_listed(control->private_fields, name) &&
           !is_listed(control->no_cache_fields, name);
}

static bool is_understood(int status)
{
    return status >= 200 && http_status_phrase(status)[0] != '\0';
}

/* NULL: nothing forbids it. */
static const char *why_forbidden(bool has_authorization, const struct http_head *response,
                                 const struct cache_control *control,
                                 const struct caching_rules *rules, struct arena *arena)
{
    struct slice names;

    if (response->status == 206)
        return "partial";
    if (response->status < 200 || response->status > 599 || response->status == 304)
        return "status";
    if (control->must_understand && !is_understood(response->status))
        return "must-understand";
    if (control->no_store && !control->must_understand)
        return "no-store";
    if (control->is_private)
        return "private";
    if (has_authorization && !control->is_public && !control->must_revalidate &&
        control->s_maxage == CACHE_SECONDS_NONE)
        return "authorization";
    if (!rules->stores_set_cookie && sets_cookie(&response->fields, control))
        return "set-cookie";
    if (!caching_vary(&response->fields, arena, &names))
        return "vary";
    return NULL;
}

/* It could be given to somebody, sometime. */
static const char *why_useless(const struct caching_life *life, int status, bool is_public,
                               struct caching_times times)
{
    bool may_be_stale = life->while_revalidate_s > 0 || life->if_error_s > 0;

    if (life->is_heuristic && !is_heuristically_cacheable(status) && !is_public)
        return "no-freshness";
    if (life->has_validator)
        return NULL;
    if (life->must_validate)
        return life->is_heuristic ? "no-freshness" : "no-cache";
    if (caching_ttl(life, times.answered_s) <= 0 && !may_be_stale)
        return "stale";
    return NULL;
}

bool caching_may_store(const struct caching_request *request, bool is_authorized,
                       const struct http_head *response, const struct caching_rules *rules,
                       struct caching_times times, struct arena *arena, struct caching_life *life,
                       const char **why_not)
{
    struct cache_control control;

    *why_not = "request";
    if (!request->may_store)
        return false;
    cache_control_of_response(&response->fields, arena, &control);
    *why_not = why_forbidden(request->has_authorization || is_authorized, response, &control, rules,
                             arena);
    if (*why_not)
        return false;
    caching_read_life(&response->fields, response->status, &control, rules, times, life);
    *why_not = why_useless(life, response->status, control.is_public, times);
    return !*why_not;
}

/* --- which fields --------------------------------------------------------------------------- */

static bool is_proxys(struct slice name)
{
    return name.len >= 6 && IS_NAMED(slice_make(name.at, 6), "proxy-");
}

static bool is_kept(const struct http_field *field, const struct cache_control *control,
                    const struct caching_rules *rules)
{
    if (field->id == FIELD_SET_COOKIE && !rules->stores_set_cookie)
        return false;
    return !IS_NAMED(field->name, "age") && !is_proxys(field->name) &&
           !is_listed(control->private_fields, field->name) &&
           !is_listed(control->no_cache_fields, field->name);
}

void caching_store_fields(const struct http_fields *response, const struct caching_rules *rules,
                          struct caching_times times, struct arena *arena,
                          struct http_fields *stored)
{
    struct cache_control control;
    uint32_t kept = 0;

    cache_control_of_response(response, arena, &control);
    *stored = (struct http_fields){0};
    for (uint32_t i = 0; i < response->count; i++) {
        const struct http_field *field = &response->list[i];

        http_fields_add_id(stored, arena, field->id, field->name, field->value);
    }
    http_fields_drop_hop_by_hop(stored);
    for (uint32_t i = 0; i < stored->count; i++)
        if (is_kept(&stored->list[i], &control, rules))
            stored->list[kept++] = stored->list[i];
    stored->count = kept;
    if (!http_fields_get(stored, FIELD_DATE)) {
        char *date = arena_bytes(arena, HTTP_DATE_SIZE);

        http_date_write(times.answered_s, date);
        http_fields_add_id(stored, arena, FIELD_DATE, slice_of("Date"),
                           slice_make(date, HTTP_DATE_LENGTH));
    }
}
