/* What one client gets of a stored response (RFC 9110 sections 13 to 15). */
#include "http/caching_internal.h"
#include "http/http_date.h"

#include <inttypes.h>

/* --- conditions ----------------------------------------------------------------------------- */

/* Takes an entity tag off the front of a list; commas may stand in it. */
static bool next_etag(struct slice *list, struct caching_etag *etag)
{
    size_t from = 0, quote;
    ptrdiff_t length;

    while (from < list->len &&
           (list->at[from] == ',' || list->at[from] == ' ' || list->at[from] == '\t'))
        from++;
    *list = slice_skip(*list, from);
    quote = slice_starts_with(*list, slice_of("W/")) ? 2 : 0;
    if (list->len <= quote || list->at[quote] != '"')
        return false;
    length = slice_find(slice_skip(*list, quote + 1), '"');
    if (length < 0 || !caching_read_etag(slice_make(list->at, quote + (size_t)length + 2), etag))
        return false;
    *list = slice_skip(*list, quote + (size_t)length + 2);
    return true;
}

/* Whether a list names this one, by the weak comparison. What is broken names no more. */
static bool names_etag(struct slice list, const struct caching_etag *stored)
{
    struct caching_etag etag;

    while (next_etag(&list, &etag))
        if (slice_equal(etag.opaque, stored->opaque))
            return true;
    return false;
}

/* Whether there is an If-None-Match, and whether it matches what is stored. */
static bool has_none_match(const struct http_fields *request, const struct http_fields *stored,
                           bool *matches)
{
    struct caching_etag etag;
    bool has_etag = caching_etag_of(stored, &etag), is_there = false;

    *matches = false;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct http_field *field = &request->list[i];

        if (!IS_NAMED(field->name, "if-none-match"))
            continue;
        is_there = true;
        *matches |= slice_equal(slice_trim(field->value), slice_of("*")) ||
                    (has_etag && names_etag(field->value, &etag));
    }
    return is_there;
}

static bool is_not_modified(const struct http_fields *request, const struct http_fields *stored,
                            int64_t now_s)
{
    int64_t since, modified;
    bool matches;

    if (has_none_match(request, stored, &matches))
        return matches;
    if (!caching_date(request, "if-modified-since", now_s, &since))
        return false;
    /* RFC 9111 section 4.3.2: what does not say when it was modified was so before it was sent. */
    if (!caching_date(stored, "last-modified", now_s, &modified) &&
        !caching_date(stored, "date", now_s, &modified))
        return false;
    return modified <= since;
}

/* The strong comparison: RFC 9110 section 13.1.5. True without If-Range. */
static bool is_range_still_meant(const struct http_fields *request,
                                 const struct http_fields *stored, int64_t now_s)
{
    const struct http_field *field = caching_single(request, "if-range");
    struct caching_etag asked, etag;
    int64_t since, modified, date;

    if (!field)
        return !http_fields_find(request, slice_of("if-range"));
    if (caching_read_etag(field->value, &asked))
        return caching_etag_of(stored, &etag) && !asked.is_weak && !etag.is_weak &&
               slice_equal(asked.opaque, etag.opaque);
    /* Section 8.8.2.2: a date is strong once it is older than the message. */
    return http_date_read(field->value, now_s, &since) &&
           caching_date(stored, "last-modified", now_s, &modified) && since == modified &&
           caching_date(stored, "date", now_s, &date) && date > modified;
}

/* --- ranges --------------------------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_PART, RANGE_OUTSIDE };

/* Digits alone; what is beyond all lengths is as good as the greatest. */
static bool read_position(struct slice text, uint64_t *position)
{
    *position = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        unsigned digit = (unsigned)(text.at[i] - '0');
        *position = *position > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *position * 10 + digit;
    }
    return true;
}

/* One "first-last", "first-" or "-suffix" of `length` bytes. */
static enum range read_one_range(struct slice spec, uint64_t length, uint64_t *first,
                                 uint64_t *last)
{
    ptrdiff_t dash = slice_find(spec, '-');
    struct slice from, to;
    uint64_t suffix;

    if (dash < 0)
        return RANGE_NONE;
    from = slice_make(spec.at, (size_t)dash);
    to = slice_skip(spec, (size_t)dash + 1);
    if (from.len == 0) {
        if (!read_position(to, &suffix))
            return RANGE_NONE;
        if (suffix == 0)
            return RANGE_OUTSIDE;
        if (length == 0)
            return RANGE_NONE; /* all of it, which no Content-Range can say */
        *first = suffix < length ? length - suffix : 0;
        *last = length - 1;
        return RANGE_PART;
    }
    *last = UINT64_MAX;
    if (!read_position(from, first) || (to.len > 0 && !read_position(to, last)) || *last < *first)
        return RANGE_NONE;
    if (*first >= length)
        return RANGE_OUTSIDE;
    if (*last >= length)
        *last = length - 1;
    return RANGE_PART;
}

/* Several ranges, and other units, are answered with the whole (RFC 9110 section 14.2). */
static enum range read_range(const struct http_fields *request, uint64_t length, uint64_t *first,
                             uint64_t *last)
{
    const struct http_field *field = caching_single(request, "range");
    struct slice rest, spec, another;

    if (!field || field->value.len < 6 || !IS_NAMED(slice_make(field->value.at, 6), "bytes="))
        return RANGE_NONE;
    rest = slice_skip(field->value, 6);
    if (!slice_next_in_list(&rest, &spec) || slice_next_in_list(&rest, &another))
        return RANGE_NONE;
    return read_one_range(spec, length, first, last);
}

/* --- the answer ----------------------------------------------------------------------------- */

static void answer_range(const struct http_fields *request, const struct http_fields *stored,
                         uint64_t length, int64_t now_s, struct caching_answer *answer)
{
    uint64_t first, last;
    enum range range = read_range(request, length, &first, &last);

    if (range == RANGE_NONE || !is_range_still_meant(request, stored, now_s))
        return;
    if (range == RANGE_OUTSIDE) {
        *answer = (struct caching_answer){
            .form = CACHING_NOT_SATISFIABLE, .status = 416, .announces_length = true};
        return;
    }
    answer->form = CACHING_PART;
    answer->status = 206;
    answer->first = first;
    answer->last = last;
    answer->body_bytes = answer->content_length = last - first + 1;
}

void caching_answer(const struct http_head *request, int stored_status,
                    const struct http_fields *stored, uint64_t length, int64_t now_s,
                    struct caching_answer *answer)
{
    *answer = (struct caching_answer){
        .form = CACHING_WHOLE,
        .status = stored_status,
        .last = length > 0 ? length - 1 : 0,
        .body_bytes = length,
        .content_length = length,
        .announces_length = stored_status != 204,
    };
    if (stored_status == 200) {
        if (is_not_modified(&request->fields, stored, now_s))
            *answer = (struct caching_answer){.form = CACHING_NOT_MODIFIED, .status = 304};
        else if (request->method == METHOD_GET)
            answer_range(&request->fields, stored, length, now_s, answer);
    }
    if (request->method == METHOD_HEAD)
        answer->body_bytes = 0;
}

/* --- its fields ----------------------------------------------------------------------------- */

/* Of the representation, which a 304 does not bring; Last-Modified only where no ETag says more
 * (RFC 9110 section 15.4.5). */
static bool is_not_for_304(struct slice name, bool has_etag)
{
    return IS_NAMED(name, "content-type") || IS_NAMED(name, "content-encoding") ||
           IS_NAMED(name, "content-language") || IS_NAMED(name, "content-range") ||
           IS_NAMED(name, "content-disposition") || IS_NAMED(name, "content-length") ||
           IS_NAMED(name, "accept-ranges") || (has_etag && IS_NAMED(name, "last-modified"));
}

static void add_content_range(const struct caching_answer *answer, uint64_t length,
                              struct arena *arena, struct http_fields *fields)
{
    struct slice value = answer->form == CACHING_PART
                             ? arena_printf(arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                                            answer->first, answer->last, length)
                             : arena_printf(arena, "bytes */%" PRIu64, length);

    http_fields_add_id(fields, arena, FIELD_OTHER, slice_of("Content-Range"), value);
}

static void add_age(int32_t age_s, struct arena *arena, struct http_fields *fields)
{
    char *text = arena_bytes(arena, CACHING_NUMBER_MOST);
    char *end = caching_append_number(text, age_s);

    http_fields_add_id(fields, arena, FIELD_OTHER, slice_of("Age"),
                       slice_make(text, (size_t)(end - text)));
}

void caching_answer_fields(const struct caching_answer *answer, const struct http_fields *stored,
                           uint64_t length, int32_t age_s, struct arena *arena,
                           struct http_fields *fields)
{
    bool has_etag = http_fields_find(stored, slice_of("etag")) != NULL;

    *fields = (struct http_fields){0};
    if (answer->form == CACHING_NOT_SATISFIABLE) {
        add_content_range(answer, length, arena, fields);
        return;
    }
    for (uint32_t i = 0; i < stored->count; i++) {
        const struct http_field *field = &stored->list[i];

        if (answer->form == CACHING_NOT_MODIFIED && is_not_for_304(field->name, has_etag))
            continue;
        if (answer->form == CACHING_PART && IS_NAMED(field->name, "content-range"))
            continue;
        if (IS_NAMED(field->name, "age"))
            continue;
        http_fields_add_id(fields, arena, field->id, field->name, field->value);
    }
    if (answer->form == CACHING_PART)
        add_content_range(answer, length, arena, fields);
    if (age_s >= 0)
        add_age(age_s, arena, fields);
}
