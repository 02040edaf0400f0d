#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/find_gateway.h"
#include "cli/route_file.h"
#include "config/explain.h"

#include <stdio.h>
#include <unistd.h>

static void print(const struct buffer *text, FILE *to)
{
    fwrite(text->base + text->start, 1, buffer_length(text), to);
}

/* --- a route file -------------------------------------------------------------------------------
 */

static void explain_snapshot(const struct arguments *arguments, const struct snapshot *snapshot,
                             const struct followed_request *request)
{
    struct arena arena = {0};
    struct explanation *explanation = arena_alloc(&arena, sizeof(*explanation));
    struct buffer text = {0};

    explain(snapshot, request, &arena, explanation);
    if (arguments->as_json)
        explain_print_json(explanation, false, &text);
    else
        explain_print_text(explanation, false, terminal_takes_colour(STDOUT_FILENO), &text);
    print(&text, stdout);
    buffer_clear(&text);
    arena_clear(&arena);
}

static void print_problems(const struct arguments *arguments, const struct problems *problems)
{
    struct buffer text = {0};

    if (arguments->as_json)
        problems_print_json(problems, &text);
    else
        problems_print(problems, &text, terminal_takes_colour(STDERR_FILENO));
    print(&text, arguments->as_json ? stdout : stderr);
    buffer_clear(&text);
}

/* Loaded as a start would: a broken certificate does not stop the others. */
static int explain_file(const struct arguments *arguments, const struct followed_request *request)
{
    struct problems problems;
    int code = EXIT_INVALID;

    if (!route_file_is_named(arguments))
        return EXIT_INVALID;
    problems_init(&problems);
    struct ticket_keys *keys = ticket_keys_new(3600);
    struct snapshot *snapshot =
        snapshot_load(arguments->config, &(struct load_options){.keys = keys}, &problems);
    if (snapshot != NULL) {
        explain_snapshot(arguments, snapshot, request);
        code = EXIT_FINE;
    } else {
        print_problems(arguments, &problems);
    }
    snapshot_unref(snapshot);
    ticket_keys_free(keys);
    problems_clear(&problems);
    return code;
}

/* --- the running gateway ------------------------------------------------------------------------
 */

static int explain_live(const struct arguments *arguments)
{
    struct gateway_places places;
    struct buffer path = {0}, query = {0}, body = {0};
    int status = 0, code = EXIT_FAILED;

    find_admin(arguments, &places);
    explain_question_print(&arguments->question, &query);
    buffer_append_text(&path, "/explain");
    buffer_append(&path, buffer_content(&query));
    buffer_append(&path, slice_make("", 1));
    const struct admin_request request = {.method = "GET",
                                          .path = path.base + path.start,
                                          .accept = arguments->as_json ? "application/json"
                                                                       : "text/plain",
                                          .timeout_ms = ADMIN_TIMEOUT_MS};
    enum admin_result result = ask_places(&places, &request, &status, &body);
    if (result == ADMIN_UNREACHABLE) {
        say_unreachable(&places);
    } else if (result == ADMIN_ANSWERED) {
        code = status == 200 ? EXIT_FINE : EXIT_FAILED;
        print(&body, code == EXIT_FINE || arguments->as_json ? stdout : stderr);
    }
    buffer_clear(&path);
    buffer_clear(&query);
    buffer_clear(&body);
    return code;
}

int command_explain(const struct arguments *arguments)
{
    struct followed_request request;
    struct arena arena = {0};
    struct error error;
    int code = EXIT_USAGE;

    if (!explain_question_read(&arguments->question, &arena, &request, &error))
        fprintf(stderr, "sallyport: %s\nTry `sallyport help explain`.\n", error.message);
    else
        code = arguments->is_live ? explain_live(arguments) : explain_file(arguments, &request);
    arena_clear(&arena);
    buffer_cache_clear();
    return code;
}
