#include "proxy/own_answer.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

/* Date (RFC 9110 section 6.6.1), written anew once a second. */
static struct slice date_now(struct proxy_env *env)
{
    int64_t second = clock_wall_ms() / 1000;

    if (second != env->date_second) {
        time_t when = (time_t)second;
        struct tm parts;
        gmtime_r(&when, &parts);
        strftime(env->date, sizeof(env->date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        env->date_second = second;
    }
    return slice_of(env->date);
}

static void begin_answer(struct proxy_env *env, struct arena *arena, int status,
                         struct slice request_id, struct own_answer *answer)
{
    *answer = (struct own_answer){0};
    answer->head.status = status;
    answer->head.reason_phrase = slice_of(http_status_phrase(status));
    answer->head.version_minor = 1;
    answer->head.keeps_connection = true;
    http_fields_add(&answer->head.fields, arena, slice_of("Date"),
                    arena_copy(arena, date_now(env)));
    if (request_id.len > 0)
        http_fields_add(&answer->head.fields, arena, slice_of("X-Request-Id"), request_id);
}

void own_answer_set_body(struct own_answer *answer, struct slice body)
{
    bool has_none = answer->head.status == 204 || answer->head.status == 304;

    answer->body = has_none ? slice_make(NULL, 0) : body;
    answer->head.framing = has_none ? BODY_NONE : BODY_LENGTH;
    answer->head.content_length = answer->body.len;
    answer->head.has_content_length = !has_none;
}

static struct slice piece_of(const struct own_answer *answer, unsigned place)
{
    const struct template_part *part = &answer->page->parts[place];

    return part->placeholder == PLACEHOLDER_NONE ? part->text : answer->values[part->placeholder];
}

void own_answer_set_template(struct own_answer *answer, const struct template *page,
                             const struct slice *values)
{
    own_answer_set_body(answer, slice_make(NULL, 0));
    if (page->part_count == 0)
        return;
    answer->page = page;
    answer->values = values;
    for (unsigned i = 0; i < page->part_count; i++)
        answer->head.content_length += piece_of(answer, i).len;
}

struct slice own_answer_piece(const struct own_answer *answer, unsigned place, bool *is_last)
{
    *is_last = answer->page == NULL || place + 1 == answer->page->part_count;
    return answer->page == NULL ? answer->body : piece_of(answer, place);
}

/* JSON only for those who ask for it and for no kind of text. */
bool own_answer_wants_json(const struct http_head *request)
{
    bool json = false;

    if (request == NULL)
        return false;
    for (uint32_t i = 0; i < request->fields.count; i++) {
        struct slice list = request->fields.list[i].value, range;
        if (request->fields.list[i].id != FIELD_ACCEPT)
            continue;
        while (slice_next_in_list(&list, &range)) {
            ptrdiff_t parameters = slice_find(range, ';');
            if (parameters >= 0)
                range = slice_trim(slice_make(range.at, (size_t)parameters));
            if (slice_equal_nocase(range, slice_of("application/json")))
                json = true;
            else if (range.len >= 5 &&
                     slice_equal_nocase(slice_make(range.at, 5), slice_of("text/")))
                return false;
        }
    }
    return json;
}

void own_answer_verdict(struct proxy_env *env, struct arena *arena, const struct http_head *request,
                        enum http_reason reason, struct slice request_id, struct own_answer *answer)
{
    int status = http_reason_status(reason);
    const char *word = http_reason_word(reason);
    struct slice body;

    begin_answer(env, arena, status, request_id, answer);
    if (reason == REASON_METHOD_REFUSED)
        http_fields_add(&answer->head.fields, arena, slice_of("Allow"),
                        slice_of("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (reason == REASON_NO_BACKEND || reason == REASON_OVER_LIMIT)
        http_fields_add(&answer->head.fields, arena, slice_of("Retry-After"), slice_of("1"));
    if (own_answer_wants_json(request)) {
        http_fields_add(&answer->head.fields, arena, slice_of("Content-Type"),
                        slice_of("application/json"));
        body = arena_printf(arena, "{\"status\":%d,\"reason\":\"%s\",\"request_id\":\"%.*s\"}\n",
                            status, word, (int)request_id.len, request_id.at);
    } else {
        http_fields_add(&answer->head.fields, arena, slice_of("Content-Type"),
                        slice_of("text/plain; charset=utf-8"));
        body = arena_printf(arena, "%d %s: %s\n", status, http_status_phrase(status), word);
    }
    own_answer_set_body(answer, body);
}

void own_answer_redirect(struct proxy_env *env, struct arena *arena, int status,
                         struct slice location, struct slice request_id, struct own_answer *answer)
{
    begin_answer(env, arena, status, request_id, answer);
    http_fields_add(&answer->head.fields, arena, slice_of("Location"), location);
    http_fields_add(&answer->head.fields, arena, slice_of("Content-Type"),
                    slice_of("text/plain; charset=utf-8"));
    own_answer_set_body(answer, arena_printf(arena, "%d %s\n", status, http_status_phrase(status)));
}

void own_answer_respond(struct proxy_env *env, struct arena *arena, const struct route *route,
                        struct slice request_id, struct own_answer *answer)
{
    begin_answer(env, arena, route->status, request_id, answer);
    for (uint32_t i = 0; i < route->respond_fields.count; i++) {
        const struct http_field *field = &route->respond_fields.list[i];
        http_fields_add_id(&answer->head.fields, arena, field->id, field->name, field->value);
    }
    own_answer_set_body(answer, route->respond_body);
}

void own_answer_foreign(struct arena *arena, const struct policy_answer *foreign,
                        struct slice request_id, struct own_answer *answer)
{
    *answer =
        (struct own_answer){.head = {.status = foreign->status,
                                     .reason_phrase = slice_of(http_status_phrase(foreign->status)),
                                     .version_minor = 1,
                                     .keeps_connection = true}};
    for (uint32_t i = 0; i < foreign->fields.count; i++) {
        const struct http_field *field = &foreign->fields.list[i];
        if (field->id != FIELD_X_REQUEST_ID)
            http_fields_add_id(&answer->head.fields, arena, field->id, field->name, field->value);
    }
    http_fields_add(&answer->head.fields, arena, slice_of("X-Request-Id"), request_id);
    own_answer_set_body(answer, foreign->body);
}

void own_answer_file(struct proxy_env *env, struct arena *arena, struct slice content,
                     struct slice request_id, struct own_answer *answer)
{
    begin_answer(env, arena, 200, request_id, answer);
    http_fields_add(&answer->head.fields, arena, slice_of("Content-Type"), slice_of("text/plain"));
    own_answer_set_body(answer, content);
}
