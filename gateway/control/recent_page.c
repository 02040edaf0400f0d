#include "control/recent_page.h"

#include "base/json_text.h"
#include "base/table.h"

#include <stdlib.h>

struct recent_query {
    struct control *control;
    struct task *task; /* NULL: nobody waits any more */
    struct worker_recent *workers;
    unsigned count, unanswered;
    struct arena arena; /* of the page, whose texts are in the workers' copies */
    struct recent_page page;
    bool is_ready;
};

static void free_query(struct recent_query *query)
{
    for (unsigned i = 0; i < query->count; i++)
        free(query->workers[i].copy);
    free(query->workers);
    arena_clear(&query->arena);
    free(query);
}

/* --- merging and folding -----------------------------------------------------------------------
 */

struct seen {
    struct recent_request request;
    struct slice identity;
};

static size_t list_seen(struct recent_query *query, struct seen *list)
{
    size_t count = 0;
    for (unsigned i = 0; i < query->count; i++) {
        struct slice copy = slice_make(query->workers[i].copy, query->workers[i].bytes);
        struct recent_request request;
        struct slice identity;
        while (recent_next(&copy, &request, &identity)) {
            if (list != NULL)
                list[count] = (struct seen){.request = request, .identity = identity};
            count++;
        }
    }
    return count;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t first = ((const struct seen *)a)->request.at_us;
    uint64_t second = ((const struct seen *)b)->request.at_us;
    return (first < second) - (first > second);
}

static void fold(struct recent_query *query, const struct seen *list, size_t count)
{
    struct recent_page *page = &query->page;
    struct table by_identity;
    table_init(&by_identity);
    page->list = arena_alloc(&query->arena, (count + 1) * sizeof(*page->list));
    for (size_t i = 0; i < count; i++) {
        struct recent_fold *same = table_get(&by_identity, list[i].identity);
        if (same == NULL) {
            same = &page->list[page->count++];
            same->request = list[i].request;
            table_put(&by_identity, list[i].identity, same);
        }
        same->count++;
    }
    page->requests = count;
    table_clear(&by_identity);
}

static void make_page(struct recent_query *query)
{
    size_t count = list_seen(query, NULL);
    struct seen *list = memory_array(count + 1, sizeof(*list));
    list_seen(query, list);
    qsort(list, count, sizeof(*list), newest_first);
    fold(query, list, count < RECENT_REQUESTS_MAX ? count : RECENT_REQUESTS_MAX);
    free(list);
    for (unsigned i = 0; i < query->count; i++)
        query->page.left_out += query->workers[i].left_out;
    query->is_ready = true;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void count_answer(void *owner)
{
    struct recent_query *query = owner;
    struct control *control = query->control;
    control->reports_out--;
    loop_wake(control->loop, &control->task);
    if (--query->unanswered > 0)
        return;
    if (query->task == NULL) {
        free_query(query);
        return;
    }
    make_page(query);
    loop_wake(control->loop, query->task);
}

struct recent_query *recent_query_start(struct control *control, struct task *task)
{
    struct recent_query *query = memory_new(sizeof(*query));
    query->control = control;
    query->task = task;
    query->count = query->unanswered = control->worker_count;
    query->workers = memory_array(query->count + 1, sizeof(*query->workers));
    for (unsigned i = 0; i < query->count; i++) {
        query->workers[i].ready = (struct post){.run = count_answer, .owner = query};
        control->reports_out++;
        worker_ask_recent(control->workers[i], &query->workers[i]);
    }
    if (query->count == 0) {
        make_page(query);
        loop_wake(control->loop, task);
    }
    return query;
}

enum io recent_query_answer(struct recent_query *query, const struct recent_page **page)
{
    *page = &query->page;
    return query->is_ready ? IO_OK : IO_WAIT;
}

void recent_query_end(struct recent_query *query)
{
    query->task = NULL;
    if (query->unanswered == 0)
        free_query(query);
}

/* --- printing ----------------------------------------------------------------------------------
 */

static void print_text(struct buffer *out, const char *key, struct slice text)
{
    buffer_printf(out, ",\"%s\":", key);
    json_append_string(out, text);
}

void recent_print_json(const struct recent_page *page, struct buffer *out)
{
    buffer_printf(out, "{\"requests\":%zu,\"left_out\":%llu,\"list\":[", page->requests,
                  (unsigned long long)page->left_out);
    for (size_t i = 0; i < page->count; i++) {
        const struct recent_request *request = &page->list[i].request;
        buffer_printf(out, "%s{\"count\":%u,\"tls\":%s,\"port\":%u", i > 0 ? "," : "",
                      page->list[i].count, request->is_tls ? "true" : "false", request->port);
        print_text(out, "method", request->method);
        print_text(out, "host", request->host);
        print_text(out, "path", request->path);
        print_text(out, "sni", request->sni);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}\n");
}
