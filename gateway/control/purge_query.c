#include "control/purge_query.h"

#include "base/json.h"
#include "base/query.h"
#include "config/follow.h"
#include "http/caching.h"
#include "http/target.h"

#include <stdlib.h>

#define HINT "say url, prefix, tag or all: POST /purge?url=https://example.com/x"

struct purge_reader {
    struct arena *arena;
    struct purge_question *question;
    struct error *error;
};

/* --- URLs: as http/caching.h makes keys of requests ----------------------------------------------
 */

static bool make_key(const struct purge_reader *reader, struct slice url, struct slice *key)
{
    struct followed_request request = {.is_tls = false};
    struct http_head head = {0};
    ptrdiff_t fragment = slice_find(url, '#');

    if (fragment >= 0)
        url.len = (size_t)fragment;
    if (!follow_read_url(reader->arena, url, &request, reader->error))
        return false;
    if (!host_normalise(reader->arena, request.authority, &head.host, &head.host_port)) {
        error_set(reader->error, "\"%.*s\" is no host", (int)request.authority.len,
                  request.authority.at);
        return false;
    }
    if (!path_normalise(reader->arena, request.target, &head.path, &head.query)) {
        error_set(reader->error, "\"%.*s\": a request for that path is refused, so nothing is kept",
                  (int)url.len, url.at);
        return false;
    }
    *key = caching_key(&head, request.is_tls, reader->arena);
    return true;
}

/* Up to the end of the host it is one text; behind it, a URL's. */
static bool make_prefix(const struct purge_reader *reader, struct slice text, struct slice *prefix)
{
    struct slice https = slice_of("https://"), http = slice_of("http://"), rest;

    if (!slice_starts_with(text, https) && !slice_starts_with(text, http)) {
        error_set(reader->error, "a prefix begins with https:// or http://, as \"%s\" does",
                  "https://example.com/static/");
        return false;
    }
    rest = slice_skip(text, slice_starts_with(text, https) ? https.len : http.len);
    if (slice_find(rest, '/') >= 0)
        return make_key(reader, text, prefix);
    char *copy = arena_text(reader->arena, text);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)(copy[i] >= 'A' && copy[i] <= 'Z' ? copy[i] | 0x20 : copy[i]);
    *prefix = slice_make(copy, text.len);
    return true;
}

/* --- the question --------------------------------------------------------------------------------
 */

static bool is_tag(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ')
            return false;
    return text.len > 0 && text.len <= CACHE_TAG_BYTES;
}

static bool add_item(const struct purge_reader *reader, struct slice name, struct slice text)
{
    struct purge_question *question = reader->question;
    struct purge_item *item = &question->items[question->count];

    if (question->count == PURGES_MOST) {
        error_set(reader->error, "%d at most in one request", PURGES_MOST);
        return false;
    }
    *item = (struct purge_item){.what = PURGE_KEY, .text = text};
    question->count++;
    if (slice_equal(name, slice_of("url")))
        return make_key(reader, text, &item->text);
    if (slice_equal(name, slice_of("prefix"))) {
        item->what = PURGE_PREFIX;
        return make_prefix(reader, text, &item->text);
    }
    if (slice_equal(name, slice_of("tag"))) {
        item->what = PURGE_TAG;
        if (is_tag(text))
            return true;
        error_set(reader->error, "\"%.*s\" is no tag: a word of %d bytes at most, without blanks",
                  (int)(text.len < 64 ? text.len : 64), text.at, CACHE_TAG_BYTES);
        return false;
    }
    item->what = PURGE_ALL;
    return true;
}

static bool is_known(const struct purge_reader *reader, struct slice name)
{
    static const char *const names[] = {"url", "prefix", "tag", "all"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal(name, slice_of(names[i])))
            return true;
    error_set(reader->error, "\"%.*s\" is unknown here; " HINT,
              (int)(name.len < 64 ? name.len : 64), name.at);
    return false;
}

static bool read_query(const struct purge_reader *reader, struct slice query)
{
    struct query_parameter parameter;

    while (query_next(&query, &parameter)) {
        char *value = query_decode(reader->arena, parameter.value);
        bool is_all = slice_equal(parameter.name, slice_of("all"));
        if (!is_known(reader, parameter.name))
            return false;
        if (value == NULL) {
            error_set(reader->error, "%.*s has a bad escape", (int)parameter.name.len,
                      parameter.name.at);
            return false;
        }
        if (is_all && value[0] != '\0' && strcmp(value, "true") != 0) {
            error_set(reader->error, "all takes no value: POST /purge?all");
            return false;
        }
        if (!add_item(reader, parameter.name, slice_of(value)))
            return false;
    }
    return true;
}

static bool read_value(const struct purge_reader *reader, const struct json_node *node,
                       struct slice name)
{
    bool is_all = slice_equal(name, slice_of("all"));

    if (is_all ? !json_is_true(node->value) : !json_is_string(node->value)) {
        error_set(reader->error, "%.*s takes %s", (int)name.len, name.at,
                  is_all ? "true and nothing else" : "a text or a list of texts");
        return false;
    }
    return add_item(reader, name,
                    is_all
                        ? slice_of("")
                        : arena_copy(reader->arena, slice_make(json_string_value(node->value),
                                                               json_string_length(node->value))));
}

static bool read_member(const struct purge_reader *reader, const struct json_node *member)
{
    if (!is_known(reader, member->key))
        return false;
    if (!json_is_array(member->value) || slice_equal(member->key, slice_of("all")))
        return read_value(reader, member, member->key);
    for (const struct json_node *element = member->first; element != NULL; element = element->next)
        if (!read_value(reader, element, member->key))
            return false;
    return true;
}

static bool read_body(const struct purge_reader *reader, struct slice body)
{
    struct json_document document;
    struct json_mistake mistake;
    bool is_good = true;

    if (!json_document_read(&document, body, &mistake)) {
        error_set(reader->error, "line %u, column %u of the body: %s", mistake.line, mistake.column,
                  mistake.message);
        return false;
    }
    if (!json_is_object(document.value)) {
        error_set(reader->error, "the body is no object such as {\"tag\": \"news\"}");
        is_good = false;
    }
    for (const struct json_node *member = document.root->first; is_good && member != NULL;
         member = member->next)
        is_good = read_member(reader, member);
    json_document_clear(&document);
    return is_good;
}

bool purge_question_read(struct slice query, struct slice body, struct arena *arena,
                         struct purge_question *question, struct error *error)
{
    const struct purge_reader reader = {.arena = arena, .question = question, .error = error};

    *question = (struct purge_question){
        .items = arena_alloc(arena, PURGES_MOST * sizeof(struct purge_item))};
    if (query.len > 1 && body.len > 0) {
        error_set(error, "say it in the query or in the body, not in both");
        return false;
    }
    if (query.len > 1 ? !read_query(&reader, slice_skip(query, 1))
                      : body.len > 0 && !read_body(&reader, body))
        return false;
    if (question->count == 0)
        error_set(error, "it is not said what to purge; " HINT);
    return question->count > 0;
}

/* --- the purge -----------------------------------------------------------------------------------
 */

struct purge_query {
    struct job job;
    struct task done; /* on the control thread */
    struct control *control;
    struct task *asker; /* NULL: nobody asks any more */
    struct arena arena;
    struct purge_question question;
    uint64_t purged;
    bool is_done, was_refused;
};

static void purge(struct job *job)
{
    struct purge_query *query = container_of(job, struct purge_query, job);

    for (unsigned i = 0; i < query->question.count; i++)
        query->purged += cache_store_purge(query->control->cache, query->question.items[i].what,
                                           query->question.items[i].text);
}

static void free_query(struct job *job)
{
    struct purge_query *query = container_of(job, struct purge_query, job);

    arena_clear(&query->arena);
    free(query);
}

static void end_job(void *owner)
{
    struct purge_query *query = owner;

    job_end(&query->job);
}

static void finish(void *owner)
{
    struct purge_query *query = owner;
    struct control *control = query->control;

    query->is_done = true;
    control->reports_out--;
    loop_wake(control->loop, &control->task);
    if (query->asker != NULL)
        loop_wake(control->loop, query->asker);
    else
        loop_bury(control->loop, &query->done, end_job);
}

struct purge_query *purge_query_start(struct control *control,
                                      const struct purge_question *question, struct task *task)
{
    struct purge_query *query = memory_new(sizeof(*query));

    query->job = (struct job){.work = purge, .free_job = free_query};
    query->control = control;
    query->asker = task;
    query->question = (struct purge_question){
        .items = arena_alloc(&query->arena, question->count * sizeof(struct purge_item)),
        .count = question->count};
    for (unsigned i = 0; i < question->count; i++)
        query->question.items[i] = (struct purge_item){
            question->items[i].what, arena_copy(&query->arena, question->items[i].text)};
    task_init(&query->done, finish, query);
    control->reports_out++;
    query->was_refused = !job_start(control->files, &query->job, control->loop, &query->done);
    return query;
}

enum io purge_query_answer(const struct purge_query *query, uint64_t *purged)
{
    if (!query->is_done)
        return IO_WAIT; /* the rest is the helper's */
    *purged = query->purged;
    return query->was_refused ? IO_ERROR : IO_OK;
}

void purge_query_end(struct purge_query *query)
{
    query->asker = NULL;
    if (query->is_done)
        loop_bury(query->control->loop, &query->done, end_job);
}
