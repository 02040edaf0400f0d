/* What a route's `errors` puts in the place of short answers. */
#include "http/message.h"
#include "policy/error_pages.h"
#include "policy/header_edits.h"
#include "proxy/exchange_state.h"

#include <stdio.h>

enum { DISCARD_MAX = 64 * 1024 }; /* of a backend's body that nobody gets, to keep its connection */

/* The page for that status, with a reference of its content, unless the client wants JSON alone
 * and it is none. NULL: the answer stays as it is. */
static const struct error_page *take_page(struct exchange *x, int status,
                                          struct source_content **content)
{
    const struct policy *policy = exchange_policy(x, POLICY_ERRORS);
    const struct error_page *page;

    if (policy == NULL)
        return NULL;
    page = error_pages_find(policy, status);
    if (page == NULL || (page->type != PAGE_JSON && own_answer_wants_json(&x->request)))
        return NULL;
    *content = source_take(page->source);
    return *content != NULL ? page : NULL;
}

/* `reason` is the log's word, or of a backend's answer what its status is called. */
static void put_page(struct exchange *x, const struct error_page *page,
                     struct source_content *content, const char *reason)
{
    const struct page_content *bytes = container_of(content, struct page_content, content);
    struct slice *values = arena_alloc(&x->arena, PLACEHOLDER_COUNT * sizeof(*values));
    struct own_answer *answer = &x->answer;

    exchange_release_page(x);
    x->page = content;
    values[PLACEHOLDER_STATUS] = arena_printf(&x->arena, "%d", answer->head.status);
    values[PLACEHOLDER_REASON] = page_escape(page->type, slice_of(reason), &x->arena);
    values[PLACEHOLDER_REQUEST_ID] = page_escape(page->type, x->facts.request_id, &x->arena);
    header_fields_drop(&answer->head.fields, slice_of("Content-Type"));
    http_fields_add(&answer->head.fields, &x->arena, slice_of("Content-Type"),
                    slice_of(page_content_type(page->type)));
    if (page_is_filled(page->type))
        own_answer_set_template(answer, &bytes->template, values);
    else
        own_answer_set_body(answer, bytes->bytes);
    exchange_count_policy(x, POLICY_ERRORS, OUTCOME_APPLIED);
}

void exchange_release_page(struct exchange *x)
{
    source_content_unref(x->page);
    x->page = NULL;
}

void exchange_put_page(struct exchange *x)
{
    struct source_content *content;
    const struct error_page *page = take_page(x, x->answer.head.status, &content);

    if (page != NULL)
        put_page(x, page, content, http_reason_word(x->reason));
}

/* --- backends' answers --------------------------------------------------------------------------
 */

/* What describes the body that goes, and not what the answer means. */
static bool is_of_body(const struct http_field *field)
{
    static const char *const names[] = {"ETag",   "Last-Modified", "Accept-Ranges",
                                        "Digest", "Repr-Digest",   "Trailer"};
    struct slice content = slice_of("Content-");

    if (field->name.len > content.len &&
        slice_equal_nocase(slice_make(field->name.at, content.len), content))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal_nocase(field->name, slice_of(names[i])))
            return true;
    return false;
}

static void begin_answer(struct exchange *x)
{
    const struct http_fields *fields = &x->response.fields;

    x->answer = (struct own_answer){.head = {.status = x->response.status,
                                             .reason_phrase = x->response.reason_phrase,
                                             .version_minor = 1,
                                             .keeps_connection = true}};
    for (uint32_t i = 0; i < fields->count; i++)
        if (!is_of_body(&fields->list[i]))
            http_fields_add_id(&x->answer.head.fields, &x->arena, fields->list[i].id,
                               fields->list[i].name, fields->list[i].value);
}

/* Whether the backend's message is over: what is here of a small body is dropped. */
static bool drop_body(struct exchange *x)
{
    struct http_stream *backend = x->leg.stream;
    struct slice piece;

    if (x->response.framing == BODY_NONE || x->request.method == METHOD_HEAD)
        return true;
    if (x->response.framing == BODY_LENGTH && x->response.content_length > DISCARD_MAX)
        return false;
    for (size_t dropped = 0; dropped < DISCARD_MAX; dropped += piece.len) {
        enum io io = backend->ops->read_body(backend, &piece);
        if (io != IO_OK)
            return io == IO_EOF;
        backend->ops->consume_body(backend, piece.len);
    }
    return false;
}

/* The connection is kept where nothing is left to be sent or read on it. What came from the cache
 * has none. */
static void leave_backend(struct exchange *x)
{
    struct http_stream *backend = x->leg.stream;
    bool is_over;

    if (backend == NULL)
        return;
    is_over = x->up.state == PUMP_DONE && backend->ops->flush(backend) == IO_OK && drop_body(x);

    exchange_release_backend(x, is_over ? HTTP_END_REUSE : HTTP_END_ABORT,
                             exchange_status_outcome(x->response.status));
}

bool exchange_replace_response(struct exchange *x)
{
    const struct policy *policy = exchange_policy(x, POLICY_ERRORS);
    const struct error_page *page;
    struct source_content *content;

    if (policy == NULL || x->response.status < 400 || !error_pages_are_for_backends(policy))
        return false;
    page = take_page(x, x->response.status, &content);
    if (page == NULL)
        return false;
    begin_answer(x);
    put_page(x, page, content, http_status_phrase(x->response.status));
    leave_backend(x);
    return true;
}
