#include "control/endpoint_answer.h"

#include "base/json_text.h"
#include "config/explain.h"
#include "config/problems.h"
#include "control/metrics_page.h"

static void set_text(struct endpoint_answer *answer, int status, const char *text)
{
    answer->status = status;
    answer->content_type = "text/plain; charset=utf-8";
    buffer_append_text(&answer->body, text);
    buffer_append_text(&answer->body, "\n");
}

void endpoint_answer_failure(int status, const char *reason, struct endpoint_answer *answer)
{
    buffer_clear(&answer->body);
    set_text(answer, status, reason);
}

static const char *content_type(bool as_text)
{
    return as_text ? "text/plain; charset=utf-8" : "application/json";
}

bool endpoint_wants_text(const struct http_head *head)
{
    return http_fields_have_token(&head->fields, FIELD_ACCEPT, slice_of("text/plain")) &&
           !http_fields_have_token(&head->fields, FIELD_ACCEPT, slice_of("application/json"));
}

/* --- the paths ---------------------------------------------------------------------------------
 */

static void answer_ready(const struct control *control, struct endpoint_answer *answer)
{
    set_text(answer, control->state == CONTROL_SERVING ? 200 : 503,
             control->state == CONTROL_SERVING ? "ready" : control_state_name(control->state));
}

static void answer_drain(bool as_text, struct endpoint_answer *answer)
{
    if (as_text) {
        set_text(answer, 202, "draining");
        return;
    }
    set_text(answer, 202, "{\"state\":\"draining\"}");
    answer->content_type = "application/json";
}

void endpoint_answer_mistake(int status, const char *message, bool as_text,
                             struct endpoint_answer *answer)
{
    struct problems problems;

    set_text(answer, status, as_text ? message : "");
    if (as_text)
        return;
    buffer_clear(&answer->body);
    answer->content_type = content_type(false);
    problems_init(&problems);
    problems_add(&problems, false, NULL, 0, 0, NULL, NULL, "%s", message);
    problems_print_json(&problems, &answer->body);
    buffer_append_text(&answer->body, "\n");
    problems_clear(&problems);
}

void endpoint_answer_purge(uint64_t purged, bool as_text, struct endpoint_answer *answer)
{
    answer->status = 200;
    answer->content_type = content_type(as_text);
    buffer_printf(&answer->body, as_text ? "purged: %llu\n" : "{\"purged\":%llu}\n",
                  (unsigned long long)purged);
}

static const char *verdict_of(const void *checks, struct slice backend, struct slice server)
{
    const struct checked_backend *checked = health_checks_find(checks, backend);
    const struct server_health *known =
        checked != NULL ? health_checks_server(checked, server, 0) : NULL;
    return known != NULL ? check_verdict_name(known->health.verdict) : NULL;
}

/* As the current generation would serve it. */
static void answer_explain(const struct control *control, const struct http_head *head,
                           struct endpoint_answer *answer)
{
    const struct snapshot *snapshot = generations_current(control->generations);
    bool as_text = endpoint_wants_text(head);
    struct explain_question question;
    struct followed_request request;
    struct arena arena = {0};
    struct error error;

    if (snapshot == NULL) {
        endpoint_answer_mistake(503, "nothing is served yet", as_text, answer);
    } else if (!explain_question_parse(head->query, &arena, &question, &error) ||
               !explain_question_read(&question, &arena, &request, &error)) {
        endpoint_answer_mistake(400, error.message, as_text, answer);
    } else {
        struct explanation *explanation = arena_alloc(&arena, sizeof(*explanation));
        explain(snapshot, &request, &arena, explanation);
        explanation->verdict = verdict_of;
        explanation->checks = control->health_checks;
        answer->status = 200;
        answer->content_type = content_type(as_text);
        if (as_text)
            explain_print_text(explanation, true, false, &answer->body);
        else
            explain_print_json(explanation, true, &answer->body);
    }
    arena_clear(&arena);
}

static enum endpoint_action refuse_method(const char *allow, struct endpoint_answer *answer)
{
    set_text(answer, 405, "this path does not take that method");
    answer->allow = allow;
    return ENDPOINT_ANSWERED;
}

/* ?within=SECONDS */
static enum endpoint_action answer_certs(const struct control *control,
                                         const struct http_head *head,
                                         struct endpoint_answer *answer)
{
    struct slice query = head->query;
    bool as_text = endpoint_wants_text(head);
    uint64_t within_s = 0;
    if (query.len > 1 && (!slice_starts_with(query, slice_of("?within=")) ||
                          !slice_parse_u64(slice_skip(query, strlen("?within=")), &within_s))) {
        set_text(answer, 400, "only within can be said, a number of seconds: /certs?within=86400");
        return ENDPOINT_ANSWERED;
    }
    answer->status = 200;
    answer->content_type = content_type(as_text);
    certificates_print(generations_current(control->generations),
                       generations_broken(control->generations), within_s, as_text, &answer->body);
    return ENDPOINT_ANSWERED;
}

enum endpoint_action endpoint_answer_request(const struct control *control, bool is_admin,
                                             const struct http_head *head,
                                             struct endpoint_answer *answer)
{
    bool is_read = head->method == METHOD_GET || head->method == METHOD_HEAD;
    bool is_status = slice_equal(head->path, slice_of("/status"));
    bool is_metrics = slice_equal(head->path, slice_of("/metrics"));
    bool is_health = slice_equal(head->path, slice_of("/healthz"));
    bool is_ready = slice_equal(head->path, slice_of("/readyz"));
    bool is_reload = slice_equal(head->path, slice_of("/reload"));
    bool is_drain = slice_equal(head->path, slice_of("/drain"));
    bool is_certs = is_admin && slice_equal(head->path, slice_of("/certs"));
    bool is_purge = slice_equal(head->path, slice_of("/purge"));
    bool is_explain = slice_equal(head->path, slice_of("/explain"));
    bool is_config = slice_equal(head->path, slice_of("/config"));
    bool is_recent = slice_equal(head->path, slice_of("/recent"));

    if (is_status || is_metrics || is_health || is_ready || is_certs) {
        if (!is_read)
            return refuse_method("GET, HEAD", answer);
        if (is_certs)
            return answer_certs(control, head, answer);
        if (is_status)
            return ENDPOINT_STATUS;
        if (is_metrics)
            return ENDPOINT_METRICS;
        if (is_health)
            set_text(answer, 200, "ok");
        else
            answer_ready(control, answer);
        return ENDPOINT_ANSWERED;
    }
    if (is_explain && is_admin) {
        if (!is_read)
            return refuse_method("GET, HEAD", answer);
        answer_explain(control, head, answer);
        return ENDPOINT_ANSWERED;
    }
    if (is_admin && (is_config || is_recent)) {
        if (!is_read)
            return refuse_method("GET, HEAD", answer);
        return is_config ? ENDPOINT_CONFIG : ENDPOINT_RECENT;
    }
    if ((is_reload || is_drain || is_purge) && is_admin) {
        if (head->method != METHOD_POST)
            return refuse_method("POST", answer);
        if (is_reload)
            return ENDPOINT_RELOAD;
        if (is_purge)
            return ENDPOINT_PURGE;
        answer_drain(endpoint_wants_text(head), answer);
        return ENDPOINT_DRAIN;
    }
    /* On a status address nothing can be changed, whatever the path. */
    if (!is_admin && !is_read)
        return refuse_method("GET, HEAD", answer);
    set_text(answer, 404, "nothing here: /healthz, /readyz, /status and /metrics are answered");
    return ENDPOINT_ANSWERED;
}

void endpoint_answer_status(const struct status_page *page, bool as_text,
                            struct endpoint_answer *answer)
{
    answer->status = 200;
    answer->content_type = content_type(as_text);
    if (as_text)
        status_print_text(page, &answer->body);
    else
        status_print_json(page, &answer->body);
}

static void print_certificates(const struct cert_store *store, struct buffer *out)
{
    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct certificate *certificate = cert_store_at(store, i);
        const struct slice *names;
        int count = certificate_names(certificate, &names);
        buffer_append_text(out, i > 0 ? ",{\"file\":" : "{\"file\":");
        json_append_text(out, certificate_file(certificate));
        buffer_append_text(out, ",\"names\":[");
        for (int k = 0; k < count; k++) {
            buffer_append_text(out, k > 0 ? "," : "");
            json_append_string(out, names[k]);
        }
        buffer_printf(out, "],\"fingerprint\":\"%016llx\",\"not_after\":%lld}",
                      (unsigned long long)certificate_fingerprint(certificate),
                      (long long)certificate_not_after(certificate));
    }
}

void endpoint_answer_config(const struct snapshot *snapshot, struct endpoint_answer *answer)
{
    if (snapshot == NULL) {
        set_text(answer, 503, "nothing is served yet");
        return;
    }
    answer->status = 200;
    answer->content_type = content_type(false);
    buffer_printf(&answer->body,
                  "{\"generation\":%llu,\"file\":", (unsigned long long)snapshot->generation);
    json_append_text(&answer->body, snapshot->config->path);
    buffer_append_text(&answer->body, ",\"folder\":");
    json_append_text(&answer->body, snapshot->config->folder);
    buffer_append_text(&answer->body, ",\"certificates\":[");
    print_certificates(tls_server_certs(snapshot->tls), &answer->body);
    buffer_append_text(&answer->body, "],\"config\":");
    buffer_append(&answer->body, snapshot->config->source);
    buffer_append_text(&answer->body, "}\n");
}

void endpoint_answer_recent(const struct recent_page *page, struct endpoint_answer *answer)
{
    answer->status = 200;
    answer->content_type = content_type(false);
    recent_print_json(page, &answer->body);
}

void endpoint_answer_metrics(const struct status_page *page, struct endpoint_answer *answer)
{
    answer->status = 200;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_page_print(page, &answer->body);
}

/* --- loads -------------------------------------------------------------------------------------
 */

static void print_quarantined(const struct cert_problems *broken, bool as_text, struct buffer *out)
{
    const char *separator = "";
    for (size_t i = 0; i < broken->count; i++) {
        const struct cert_problem *problem = &broken->list[i];
        if (as_text) {
            buffer_printf(out, "quarantined: %s: %s\n", problem->file, problem->message);
            continue;
        }
        buffer_printf(out, "%s{\"file\":", separator);
        json_append_text(out, problem->file);
        buffer_append_text(out, ",\"reason\":");
        json_append_text(out, problem->message);
        buffer_append_text(out, "}");
        separator = ",";
    }
}

static void print_accepted(const struct load_outcome *outcome, bool as_text, bool tells_changes,
                           struct buffer *out)
{
    bool is_unchanged = outcome->result == LOAD_UNCHANGED;
    unsigned long long generation = outcome->generation;
    if (as_text) {
        if (is_unchanged)
            buffer_printf(out, "nothing has changed: generation %llu goes on\n", generation);
        else
            buffer_printf(out, "generation %llu is served\n", generation);
        diff_print_changes(&outcome->changes, out, false);
        print_quarantined(&outcome->broken, true, out);
        return;
    }
    buffer_printf(out, "{\"generation\":%llu,\"unchanged\":%s,\"quarantined\":[", generation,
                  is_unchanged ? "true" : "false");
    print_quarantined(&outcome->broken, false, out);
    buffer_append_text(out, "]");
    if (tells_changes) {
        buffer_append_text(out, ",\"changes\":");
        diff_print_changes_json(&outcome->changes, out);
    }
    buffer_append_text(out, "}\n");
}

void endpoint_answer_load(const struct load_outcome *outcome, const struct http_head *head,
                          struct endpoint_answer *answer)
{
    bool as_text = endpoint_wants_text(head);
    bool tells_changes = slice_equal(head->query, slice_of("?changes"));
    bool is_refused = load_is_refused(outcome);
    answer->status = is_refused ? 422 : 200;
    answer->content_type = content_type(as_text);
    if (!is_refused)
        print_accepted(outcome, as_text, tells_changes, &answer->body);
    else if (as_text)
        problems_print(&outcome->problems, &answer->body, false);
    else
        problems_print_json(&outcome->problems, &answer->body);
}
