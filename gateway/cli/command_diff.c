#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/diff_print.h"
#include "cli/find_gateway.h"
#include "cli/route_file.h"
#include "config/reader.h"
#include "config/replay.h"
#include "tls/cert_library.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A diff under way. */
struct differ {
    const struct arguments *arguments;
    struct ticket_keys *keys;
    struct snapshot *old, *new;
    char old_file[PATH_MAX];
    struct cert_library *certs;  /* both sides read a certificate once */
    struct cert_problems broken; /* what the newer side could not read */
    uint64_t generation;         /* of the running gateway; 0: none was found */
    struct arena arena;
    struct served_certificate *served; /* by it; in the arena */
    size_t served_count;
    struct gateway_places places;
    struct buffer output;
};

/* --- the two sides -----------------------------------------------------------------------------
 */

/* What is wrong goes where `check` says it. */
static void tell_problems(struct differ *d, const struct problems *problems)
{
    if (d->arguments->as_json)
        problems_print_json(problems, &d->output);
    else
        problems_print(problems, &d->output, terminal_takes_colour(STDOUT_FILENO));
}

/* Whether the problem is of this file, or of a folder that holds it. */
static bool is_problem_of(const struct cert_problem *problem, struct slice file)
{
    struct slice broken = slice_of(problem->file);
    return slice_starts_with(file, broken) &&
           (file.len == broken.len || file.at[broken.len] == '/' ||
            slice_ends_with(broken, slice_of("/")));
}

/* Of what a load would only warn of, a certificate that is left out changes who is served; what the
 * running gateway serves it goes on serving. */
static void tell_broken(struct differ *d)
{
    for (size_t i = 0; i < d->broken.count; i++) {
        bool is_kept = false;
        for (size_t k = 0; k < d->served_count; k++) {
            if (!is_problem_of(&d->broken.list[i], d->served[k].file))
                continue;
            d->served[k].is_kept = is_kept = true;
        }
        fprintf(stderr, "sallyport: %s: %s\n",
                is_kept ? "kept as the gateway serves it" : "left out", d->broken.list[i].message);
    }
}

/* What both sides say alike they share. */
static struct snapshot *load(struct differ *d, const char *file, struct load_options options)
{
    struct problems problems;
    struct cert_problems broken = {0};
    problems_init(&problems);
    options.keys = d->keys;
    options.certs = d->certs;
    options.broken = d->new == NULL ? &d->broken : &broken; /* the newer side is loaded first */
    options.previous = d->new != NULL ? d->new->config : NULL;
    struct snapshot *snapshot = snapshot_load(file, &options, &problems);
    if (snapshot == NULL)
        tell_problems(d, &problems);
    cert_problems_clear(&broken);
    problems_clear(&problems);
    return snapshot;
}

static struct slice text_of(const struct json_node *object, const char *key)
{
    const struct json_node *node = json_member(object, key);
    return node != NULL ? reader_node_text(node) : slice_make(NULL, 0);
}

static uint64_t number_of(const struct json_node *object, const char *key)
{
    const struct json_node *node = json_member(object, key);
    return node != NULL ? (uint64_t)json_integer_value(node->value) : 0;
}

static size_t count_elements(const struct json_node *list)
{
    size_t count = 0;
    for (const struct json_node *node = list ? list->first : NULL; node != NULL; node = node->next)
        count++;
    return count;
}

static void keep_names(struct differ *d, const struct json_node *list,
                       struct served_certificate *served)
{
    struct slice *names = arena_alloc(&d->arena, (count_elements(list) + 1) * sizeof(*names));
    for (const struct json_node *node = list ? list->first : NULL; node != NULL; node = node->next)
        names[served->name_count++] = arena_copy(&d->arena, reader_node_text(node));
    served->names = names;
}

static void keep_served(struct differ *d, const struct json_node *list)
{
    d->served = arena_alloc(&d->arena, (count_elements(list) + 1) * sizeof(*d->served));
    for (const struct json_node *node = list ? list->first : NULL; node != NULL;
         node = node->next) {
        char fingerprint[17];
        slice_copy_text(text_of(node, "fingerprint"), fingerprint, sizeof(fingerprint));
        struct served_certificate *served = &d->served[d->served_count++];
        *served = (struct served_certificate){.file = arena_copy(&d->arena, text_of(node, "file")),
                                              .fingerprint = strtoull(fingerprint, NULL, 16),
                                              .not_after = (int64_t)number_of(node, "not_after")};
        keep_names(d, json_member(node, "names"), served);
    }
}

/* As it was read by the gateway, whatever its file says now. */
static struct snapshot *load_answer(struct differ *d, const struct json_document *document)
{
    const struct json_node *root = document->root;
    const struct json_node *generation = json_member(root, "generation");
    const struct json_node *file = json_member(root, "file"), *folder = json_member(root, "folder");
    const struct json_node *config = json_member(root, "config");
    if (generation == NULL || file == NULL || folder == NULL || config == NULL)
        return NULL;
    d->generation = (uint64_t)json_integer_value(generation->value);
    keep_served(d, json_member(root, "certificates"));
    slice_copy_text(reader_node_text(file), d->old_file, sizeof(d->old_file));
    const struct load_options options = {.text = &config->text,
                                         .folder = json_string_value(folder->value)};
    return load(d, d->old_file, options);
}

static enum admin_result ask(struct differ *d, const char *path, struct buffer *body)
{
    const struct admin_request request = {.method = "GET",
                                          .path = path,
                                          .accept = "application/json",
                                          .timeout_ms = ADMIN_RELOAD_TIMEOUT_MS};
    int status = 0;
    enum admin_result result = ask_places(&d->places, &request, &status, body);
    if (result == ADMIN_ANSWERED && status != 200) {
        fprintf(stderr, "sallyport: the running gateway answers %s with %d\n", path, status);
        return ADMIN_BROKEN;
    }
    return result;
}

static enum admin_result load_running(struct differ *d)
{
    struct buffer body = {0};
    struct json_document document;
    struct json_mistake mistake;
    find_admin(d->arguments, &d->places);
    enum admin_result result = ask(d, "/config", &body);
    if (result == ADMIN_ANSWERED) {
        if (json_document_read(&document, buffer_content(&body), &mistake)) {
            d->old = load_answer(d, &document);
            json_document_clear(&document);
        } else {
            fprintf(stderr, "sallyport: the running gateway's answer is no JSON\n");
            result = ADMIN_BROKEN;
        }
    }
    buffer_clear(&body);
    return result;
}

/* EXIT_FINE: d->old is there. */
static enum exit_code load_old(struct differ *d)
{
    enum admin_result result = load_running(d);
    if (result == ADMIN_ANSWERED)
        return d->old != NULL ? EXIT_FINE : EXIT_INVALID;
    if (result == ADMIN_BROKEN)
        return EXIT_FAILED;
    if (d->arguments->admin != NULL) {
        say_unreachable(&d->places);
        return EXIT_FAILED;
    }
    if (!route_file_is_named(d->arguments))
        return EXIT_INVALID;
    fprintf(stderr, "sallyport: no running gateway was found: %s is what is compared with\n",
            d->arguments->config);
    slice_copy_text(slice_of(d->arguments->config), d->old_file, sizeof(d->old_file));
    d->old = load(d, d->old_file, (struct load_options){0});
    return d->old != NULL ? EXIT_FINE : EXIT_INVALID;
}

/* --- recent requests ---------------------------------------------------------------------------
 */

/* Hosts are told without the brackets of an IPv6 literal. */
static struct slice authority_of(struct arena *arena, struct slice host)
{
    if (slice_find(host, ':') < 0)
        return host;
    return arena_printf(arena, "[%.*s]", (int)host.len, host.at);
}

static void replay_one(struct differ *d, const struct json_node *node, struct replay_result *result)
{
    struct arena *arena = &d->arena;
    const struct json_node *tls = json_member(node, "tls");
    struct slice path = text_of(node, "path");
    uint64_t count = number_of(node, "count");
    struct followed_request request = {
        .method = text_of(node, "method"),
        .is_tls = tls != NULL && json_is_true(tls->value),
        .authority = authority_of(arena, text_of(node, "host")),
        .target = path,
        .sni = text_of(node, "sni"),
        .port = (uint16_t)number_of(node, "port"),
    };
    struct replayed replayed;
    replay_request(d->old, d->new, &request, arena, &replayed);
    if (replayed.certificate_differs)
        result->certificates += count;
    if (!replayed.answer_differs)
        return;
    result->different += count;
    size_t place = result->count++;
    result->list[place] = (struct answered_differently){
        .place = place,
        .request =
            arena_printf(arena, "%.*s %s://%.*s%.*s", (int)request.method.len, request.method.at,
                         request.is_tls ? "https" : "http", (int)request.authority.len,
                         request.authority.at, (int)path.len, path.at),
        .count = count,
        .was = replayed.was,
        .is = replayed.is,
    };
}

/* The most frequent ones first, and of those the most recent. */
static int by_count(const void *a, const void *b)
{
    const struct answered_differently *first = a, *second = b;
    if (first->count != second->count)
        return first->count < second->count ? 1 : -1;
    return (first->place > second->place) - (first->place < second->place);
}

static void replay_all(struct differ *d, const struct json_document *document,
                       struct replay_result *result)
{
    const struct json_node *list = json_member(document->root, "list");
    size_t count = count_elements(list);
    result->requests = number_of(document->root, "requests");
    result->left_out = number_of(document->root, "left_out");
    result->list = arena_alloc(&d->arena, (count + 1) * sizeof(*result->list));
    for (const struct json_node *node = list ? list->first : NULL; node != NULL; node = node->next)
        replay_one(d, node, result);
    qsort(result->list, result->count, sizeof(*result->list), by_count);
}

/* False: it cannot be told what recent requests would make of it, and that was said. */
static bool replay(struct differ *d, struct replay_result *result)
{
    struct buffer body = {0};
    struct json_document document;
    struct json_mistake mistake;
    bool is_good = ask(d, "/recent", &body) == ADMIN_ANSWERED &&
                   json_document_read(&document, buffer_content(&body), &mistake);
    if (is_good) {
        replay_all(d, &document, result);
        json_document_clear(&document);
    } else {
        fprintf(stderr, "sallyport: the running gateway tells nothing of its recent requests\n");
    }
    buffer_clear(&body);
    return is_good;
}

/* --- the command -------------------------------------------------------------------------------
 */

static int report(struct differ *d)
{
    struct diff diff;
    struct replay_result result = {0};
    diff_make(&diff, d->old, d->new);
    if (d->generation > 0)
        diff_add_files(&diff, d->old, d->new, d->served, d->served_count);
    bool is_replayed = d->generation > 0 && replay(d, &result);
    const struct diff_report report = {.generation = d->generation,
                                       .old_file = d->old_file,
                                       .new_file = d->arguments->operand,
                                       .diff = &diff,
                                       .replay = is_replayed ? &result : NULL};
    if (d->arguments->as_json)
        diff_print_json(&report, &d->output);
    else
        diff_print_text(&report, &d->output, terminal_takes_colour(STDOUT_FILENO));
    int code = diff.count > 0 ? EXIT_CHANGES : EXIT_FINE;
    diff_clear(&diff);
    return code;
}

int command_diff(const struct arguments *arguments)
{
    struct differ d = {
        .arguments = arguments, .keys = ticket_keys_new(3600), .certs = cert_library_new()};
    int code = EXIT_INVALID;
    d.new = load(&d, arguments->operand, (struct load_options){0});
    if (d.new != NULL)
        code = load_old(&d);
    if (d.new != NULL)
        tell_broken(&d);
    if (code == EXIT_FINE)
        code = report(&d);
    if (buffer_length(&d.output) > 0)
        fwrite(d.output.base + d.output.start, 1, buffer_length(&d.output), stdout);
    snapshot_unref(d.old);
    snapshot_unref(d.new);
    cert_problems_clear(&d.broken);
    cert_library_free(d.certs);
    ticket_keys_free(d.keys);
    arena_clear(&d.arena);
    buffer_clear(&d.output);
    buffer_cache_clear();
    return code;
}
