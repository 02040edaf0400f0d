/* Asking whether what is kept is still good, and what the answer makes of it (RFC 9111
 * section 4.3).
 */
#include "http/caching_internal.h"
#include "http/http_date.h"

/* --- the question --------------------------------------------------------------------------- */

static bool is_replaced_condition(struct slice name)
{
    return IS_NAMED(name, "if-none-match") || IS_NAMED(name, "if-modified-since") ||
           IS_NAMED(name, "if-range") || IS_NAMED(name, "range");
}

void caching_condition(const struct http_fields *stored, struct arena *arena,
                       struct http_fields *request)
{
    const struct http_field *modified;
    struct caching_etag etag;
    uint32_t kept = 0;
    int64_t date;

    for (uint32_t i = 0; i < request->count; i++)
        if (!is_replaced_condition(request->list[i].name))
            request->list[kept++] = request->list[i];
    request->count = kept;
    if (!stored)
        return;
    modified = caching_single(stored, "last-modified");
    if (caching_etag_of(stored, &etag))
        http_fields_add_id(request, arena, FIELD_OTHER, slice_of("If-None-Match"),
                           caching_single(stored, "etag")->value);
    if (modified && http_date_read(modified->value, 0, &date))
        http_fields_add_id(request, arena, FIELD_OTHER, slice_of("If-Modified-Since"),
                           modified->value);
}

/* --- whose answer it is --------------------------------------------------------------------- */

static bool is_same_modified(const struct http_fields *a, const struct http_fields *b)
{
    const struct http_field *first = caching_single(a, "last-modified");
    const struct http_field *second = caching_single(b, "last-modified");

    return first && second && slice_equal(first->value, second->value);
}

bool caching_selects(const struct http_fields *stored, const struct http_fields *not_modified,
                     bool is_only)
{
    struct caching_etag theirs, ours;

    if (caching_etag_of(not_modified, &theirs))
        return caching_etag_of(stored, &ours) && slice_equal(ours.opaque, theirs.opaque) &&
               (theirs.is_weak || !ours.is_weak);
    if (http_fields_find(not_modified, slice_of("last-modified")))
        return is_same_modified(stored, not_modified);
    return is_only;
}

bool caching_agrees_with_head(const struct http_fields *stored, uint64_t length,
                              const struct http_head *response)
{
    struct caching_etag theirs, ours;

    if (response->has_content_length && response->content_length != length)
        return false;
    if (caching_etag_of(&response->fields, &theirs) &&
        !(caching_etag_of(stored, &ours) && ours.is_weak == theirs.is_weak &&
          slice_equal(ours.opaque, theirs.opaque)))
        return false;
    return !http_fields_find(&response->fields, slice_of("last-modified")) ||
           is_same_modified(stored, &response->fields);
}

/* --- what it makes of what is kept ---------------------------------------------------------- */

/* What is said of the body that is kept, and not of another (section 3.2). */
static bool is_of_the_body(struct slice name)
{
    return IS_NAMED(name, "content-encoding") || IS_NAMED(name, "content-length") ||
           IS_NAMED(name, "content-range") || IS_NAMED(name, "content-md5") ||
           IS_NAMED(name, "etag");
}

static void drop_what_is_of_the_body(struct http_fields *fields)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (!is_of_the_body(fields->list[i].name))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

/* Those of `stored` that no field of `newer` replaces, then these. */
static void merge_fields(const struct http_fields *stored, const struct http_fields *newer,
                         struct arena *arena, struct http_fields *merged)
{
    *merged = (struct http_fields){0};
    for (uint32_t i = 0; i < stored->count; i++) {
        const struct http_field *field = &stored->list[i];

        if (!http_fields_find(newer, field->name))
            http_fields_add_id(merged, arena, field->id, field->name, field->value);
    }
    for (uint32_t i = 0; i < newer->count; i++) {
        const struct http_field *field = &newer->list[i];

        http_fields_add_id(merged, arena, field->id, field->name, field->value);
    }
}

/* As the response would have been, had it come whole: with the newer one's age. */
static void add_age(struct http_head *head, const struct http_fields *newer, struct arena *arena)
{
    const struct http_field *age = http_fields_find(newer, slice_of("age"));

    if (age)
        http_fields_add_id(&head->fields, arena, FIELD_OTHER, age->name, age->value);
}

bool caching_refresh(const struct caching_request *request, bool is_authorized, int status,
                     const struct http_fields *stored, const struct http_head *not_modified,
                     const struct caching_rules *rules, struct caching_times times,
                     struct arena *arena, struct http_fields *fields, struct caching_life *life)
{
    struct caching_request asked = *request;
    struct http_head whole = {.status = status};
    struct http_fields newer;
    const char *why_not;
    bool is_kept;

    caching_store_fields(&not_modified->fields, rules, times, arena, &newer);
    drop_what_is_of_the_body(&newer);
    merge_fields(stored, &newer, arena, &whole.fields);
    /* What its directives name, old and new, does not stay either. */
    caching_store_fields(&whole.fields, rules, times, arena, fields);
    add_age(&whole, &not_modified->fields, arena);
    /* A HEAD may say how it is with what a GET brought. */
    asked.may_store = request->may_look_up && !request->control.no_store;
    is_kept = caching_may_store(&asked, is_authorized, &whole, rules, times, arena, life, &why_not);
    if (!is_kept)
        *life = (struct caching_life){.born_s = times.answered_s, .must_validate = true};
    return is_kept;
}
