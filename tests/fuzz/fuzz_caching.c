/* A shared cache's rules for any fields of a request, a response and a 304: what says no-store or
 * private is never kept, no field of a connection is; whatever is kept is not modified to its own
 * condition; ranges lie in the body; keys of other origins are never dropped. */
#include "base/check.h"
#include "http/caching.h"
#include "http/http_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { NOW = 1767225600 };

static const struct caching_rules rules = {.stale_if_error_s = 60};
static const struct caching_times times = {.asked_s = NOW - 1, .answered_s = NOW};

/* --- heads out of bytes --------------------------------------------------------------------- */

static struct slice take_until(struct slice *rest, char end)
{
    ptrdiff_t at = slice_find(*rest, end);
    struct slice piece = slice_make(rest->at, at < 0 ? rest->len : (size_t)at);

    *rest = slice_skip(*rest, at < 0 ? rest->len : piece.len + 1);
    return piece;
}

/* Lines up to an empty one; what no parser would let pass is left out. */
static struct http_fields read_fields(struct slice *rest, struct arena *arena)
{
    struct http_fields fields = {0};

    while (rest->len > 0) {
        struct slice line = take_until(rest, '\n'), name = take_until(&line, ':');

        if (name.len == 0)
            break;
        if (http_is_token(name) && http_is_field_value(line))
            http_fields_add(&fields, arena, name, slice_trim(line));
    }
    return fields;
}

/* --- a second, simpler reading -------------------------------------------------------------- */

static bool is_named(struct slice name, const char *text)
{
    return slice_equal_nocase(name, slice_of(text));
}

/* Whether Cache-Control, in which nothing is quoted, has this directive. */
static bool says(const struct http_fields *fields, const char *directive)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice rest = fields->list[i].value, element;

        if (!is_named(fields->list[i].name, "cache-control") || slice_find(rest, '"') >= 0)
            continue;
        while (slice_next_in_list(&rest, &element))
            if (is_named(element, directive))
                return true;
    }
    return false;
}

static bool has_quotes(const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (is_named(fields->list[i].name, "cache-control") &&
            slice_find(fields->list[i].value, '"') >= 0)
            return true;
    return false;
}

static bool has_star(const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice rest = fields->list[i].value, element;

        if (!is_named(fields->list[i].name, "vary"))
            continue;
        while (slice_next_in_list(&rest, &element))
            if (is_named(element, "*"))
                return true;
    }
    return false;
}

/* --- what must hold ------------------------------------------------------------------------- */

static void check_life(const struct caching_life *life, const struct caching_request *request)
{
    assert(life->fresh_s >= 0 && life->while_revalidate_s >= 0 && life->if_error_s >= 0);
    for (int64_t now = NOW - 100; now < NOW + 5000000000; now += 617283945) {
        int32_t age = caching_age(life, now);
        enum caching_verdict verdict = caching_judge(life, request, now);

        assert(age >= 0 && caching_ttl(life, now) == life->fresh_s - age);
        assert(verdict != CACHING_FRESH || age < life->fresh_s);
        assert(verdict == CACHING_STALE || (!life->must_validate && !request->control.no_cache));
        assert(verdict != CACHING_STALE_OK || !life->never_stale);
        assert(!life->must_validate || !caching_may_serve_on_error(life, request, now));
    }
}

static void check_kept(const struct caching_request *request, const struct http_head *response)
{
    const struct http_fields *fields = &response->fields;

    assert(request->may_store && !request->control.no_store);
    assert(response->status >= 200 && response->status != 206 && response->status != 304);
    assert(!has_star(fields));
    if (http_fields_find(fields, slice_of("cdn-cache-control")))
        return;
    assert(!says(fields, "private"));
    /* must-understand, which lifts it, may stand beside something quoted. */
    assert(!says(fields, "no-store") || says(fields, "must-understand") || has_quotes(fields));
}

static void check_fields(const struct http_fields *stored, struct arena *arena)
{
    struct http_fields again;

    for (uint32_t i = 0; i < stored->count; i++)
        assert(!field_id_is_hop_by_hop(stored->list[i].id) &&
               !is_named(stored->list[i].name, "age"));
    caching_store_fields(stored, &rules, times, arena, &again);
    assert(again.count <= stored->count);
}

/* Asked with its own condition, what is kept says that nothing changed. */
static void check_condition(const struct http_head *request, const struct http_fields *stored,
                            struct arena *arena)
{
    struct http_head asking = *request;
    struct caching_answer answer;

    asking.fields = (struct http_fields){0};
    for (uint32_t i = 0; i < request->fields.count; i++)
        http_fields_add(&asking.fields, arena, request->fields.list[i].name,
                        request->fields.list[i].value);
    caching_condition(stored, arena, &asking.fields);
    assert(!http_fields_find(&asking.fields, slice_of("range")));
    caching_answer(&asking, 200, stored, 10, NOW, &answer);
    if (http_fields_find(&asking.fields, slice_of("if-none-match")) ||
        http_fields_find(&asking.fields, slice_of("if-modified-since")))
        assert(answer.form == CACHING_NOT_MODIFIED);
}

static void check_answer(const struct http_head *request, const struct http_fields *stored,
                         uint64_t length, struct arena *arena)
{
    struct caching_answer answer;
    struct http_fields fields;

    caching_answer(request, 200, stored, length, NOW, &answer);
    caching_answer_fields(&answer, stored, length, 5, arena, &fields);
    assert(answer.body_bytes <= length);
    if (answer.form == CACHING_PART)
        assert(answer.first <= answer.last && answer.last < length &&
               answer.body_bytes == answer.last - answer.first + 1);
    assert((answer.form == CACHING_PART || answer.form == CACHING_NOT_SATISFIABLE) ==
           (http_fields_find(&fields, slice_of("content-range")) != NULL));
}

static void check_refresh(const struct caching_request *request, const struct http_fields *stored,
                          const struct http_head *not_modified, struct arena *arena)
{
    const struct http_field *etag = http_fields_find(stored, slice_of("etag")), *now;
    struct http_fields fields;
    struct caching_life life;

    (void)caching_selects(stored, &not_modified->fields, true);
    (void)caching_agrees_with_head(stored, 5, not_modified);
    if (caching_refresh(request, false, 200, stored, not_modified, &rules, times, arena, &fields,
                        &life))
        check_life(&life, request);
    check_fields(&fields, arena);
    now = http_fields_find(&fields, slice_of("etag"));
    assert(!now || (etag && slice_equal(etag->value, now->value)));
}

static void check_vary(const struct http_head *request, const struct http_head *response,
                       struct arena *arena)
{
    struct slice names, one, other;

    if (!caching_vary(&response->fields, arena, &names))
        return;
    one = caching_variant(names, &request->fields, arena);
    other = caching_variant(names, &request->fields, arena);
    assert(slice_equal(one, other) && (names.len > 0) == (one.len > 0));
}

static void check_keys(const struct http_head *request, const struct http_fields *response,
                       struct arena *arena)
{
    struct slice keys[CACHING_INVALIDATED_MOST];
    unsigned count = caching_invalidated_keys(request, true, response, arena, keys);

    for (unsigned i = 0; i < count; i++)
        assert(slice_starts_with(keys[i], slice_of("https://host/")));
}

static void check_texts(const struct http_fields *fields, struct arena *arena)
{
    struct caching_tags tags = {.fields = fields};
    struct slice tag;
    char text[HTTP_DATE_SIZE];
    int64_t seconds, again;

    (void)arena;
    while (caching_next_tag(&tags, &tag))
        assert(tag.len > 0);
    for (uint32_t i = 0; i < fields->count; i++) {
        if (!http_date_read(fields->list[i].value, NOW, &seconds))
            continue;
        http_date_write(seconds, text);
        assert(http_date_read(slice_of(text), NOW, &again) && again == seconds);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice rest = slice_make((const char *)bytes, length);
    struct http_head request = {.version_minor = 1}, response = {.version_minor = 1}, newer;
    struct caching_request asked;
    struct caching_life life;
    struct http_fields stored;
    struct arena arena = {0};
    const char *why = NULL;

    if (length < 2)
        return 0;
    request.method = bytes[0] % 4 == 0 ? METHOD_HEAD : METHOD_GET;
    response.status = 200 + bytes[0] / 4 % 8 * 52;
    rest = slice_skip(rest, 1);
    request.authority = request.host = slice_of("host");
    request.path = slice_of("/a/b");
    request.fields = read_fields(&rest, &arena);
    response.fields = read_fields(&rest, &arena);
    newer = response;
    newer.fields = read_fields(&rest, &arena);

    caching_read_request(&request, &arena, &asked);
    if (caching_may_store(&asked, false, &response, &rules, times, &arena, &life, &why)) {
        check_kept(&asked, &response);
        check_life(&life, &asked);
    } else {
        assert(why);
    }
    caching_store_fields(&response.fields, &rules, times, &arena, &stored);
    check_fields(&stored, &arena);
    check_condition(&request, &stored, &arena);
    check_answer(&request, &stored, rest.len, &arena);
    check_refresh(&asked, &stored, &newer, &arena);
    check_vary(&request, &response, &arena);
    check_keys(&request, &response.fields, &arena);
    check_texts(&response.fields, &arena);
    arena_clear(&arena);
    return 0;
}
