#include "control/load_outcome.h"

#include "base/check.h"
#include "base/log.h"
#include "base/table.h"

#include <stdio.h>
#include <stdlib.h>

void load_outcome_unref(struct load_outcome *outcome)
{
    if (outcome == NULL || --outcome->references > 0)
        return;
    problems_clear(&outcome->problems);
    cert_problems_clear(&outcome->broken);
    diff_clear(&outcome->changes);
    free(outcome);
}

struct load_outcome *load_outcome_new(void)
{
    struct load_outcome *outcome = memory_new(sizeof(*outcome));
    outcome->references = 1;
    problems_init(&outcome->problems);
    return outcome;
}

static void log_problem(const struct problem *problem, const char *event)
{
    char place[64] = "";
    if (problem->column > 0)
        snprintf(place, sizeof(place), ":%u:%u", problem->line, problem->column);
    else if (problem->line > 0)
        snprintf(place, sizeof(place), ":%u", problem->line);
    bool has_path = problem->path != NULL && problem->path[0] != '\0';
    bool has_suggestion = problem->suggestion != NULL && problem->suggestion[0] != '\0';
    log_event(problem->is_warning ? LOG_WARN : LOG_ERROR, event, "%s%s: %s%s%s%s%s%s",
              problem->file != NULL ? problem->file : "", place, has_path ? problem->path : "",
              has_path ? ": " : "", problem->message, has_suggestion ? " (did you mean \"" : "",
              has_suggestion ? problem->suggestion : "", has_suggestion ? "\"?)" : "");
}

const char *load_result_name(enum load_result result)
{
    switch (result) {
    case LOAD_PUBLISHED: return "published";
    case LOAD_UNCHANGED: return "unchanged";
    case LOAD_INVALID: return "invalid";
    case LOAD_FAILED: return "failed";
    case LOAD_TOO_LATE: return "too_late";
    case LOAD_RESULTS: break;
    }
    return "";
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* One line for what came of it, whoever wanted it. */
void load_outcome_log(const struct load_outcome *outcome, const char *file)
{
    unsigned long long generation = outcome->generation;
    size_t parsed = outcome->read.parsed, quarantined = outcome->broken.count;
    const char *what = outcome->kind == LOAD_RENEWAL ? "files changed: " : "";
    switch (outcome->result) {
    case LOAD_PUBLISHED:
        if (generation > 1) /* the first one is the ready line's to announce */
            log_event(LOG_INFO, "reload",
                      "%sgeneration %llu is served by every worker: %zu change%s; %zu "
                      "certificate%s read, %zu quarantined",
                      what, generation, outcome->changes.count, plural(outcome->changes.count),
                      parsed, plural(parsed), quarantined);
        break;
    case LOAD_UNCHANGED:
        if (outcome->kind == LOAD_RENEWAL && !log_wants(LOG_DEBUG))
            return; /* nobody asked, and what is newly quarantined was told */
        log_event(LOG_INFO, "reload_unchanged",
                  "nothing has changed: generation %llu goes on; %zu certificate%s quarantined",
                  generation, quarantined, plural(quarantined));
        break;
    case LOAD_INVALID:
    case LOAD_FAILED:
        if (generation == 0)
            return; /* at start: whoever started it is told */
        log_event(LOG_ERROR, "reload_refused",
                  "%s%zu error%s in %s: generation %llu goes on; put it right and reload", what,
                  outcome->problems.errors, plural(outcome->problems.errors), file, generation);
        break;
    case LOAD_TOO_LATE: log_event(LOG_WARN, "reload_refused", "the gateway is draining"); return;
    case LOAD_RESULTS: return;
    }
    for (size_t i = 0; i < outcome->problems.count; i++)
        log_problem(&outcome->problems.list[i], "config");
}

/* The files of `broken`, for look-ups. */
static void list_files(const struct cert_problems *broken, struct table *files)
{
    table_init(files);
    for (size_t i = 0; i < broken->count; i++)
        table_put(files, slice_of(broken->list[i].file), &broken->list[i]);
}

void load_outcome_log_quarantine(const struct cert_problems *before,
                                 const struct cert_problems *now)
{
    struct table were, are;
    list_files(before, &were);
    list_files(now, &are);
    for (size_t i = 0; i < before->count; i++)
        if (table_get(&are, slice_of(before->list[i].file)) == NULL)
            log_event(LOG_INFO, "quarantine_over", "%s is not quarantined any more",
                      before->list[i].file);
    for (size_t i = 0; i < now->count; i++)
        if (table_get(&were, slice_of(now->list[i].file)) == NULL)
            log_event(LOG_WARN, "quarantined", "%s: %s; %s", now->list[i].file,
                      now->list[i].message,
                      now->list[i].served_count > 0 || now->list[i].is_client_ca
                          ? "what was read before is served in its place"
                          : "nothing is served in its place");
    table_clear(&were);
    table_clear(&are);
}
