#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/route_file.h"
#include "config/snapshot.h"
#include "control/privileges.h"

#include <stdio.h>
#include <unistd.h>

static void print(const struct buffer *text)
{
    fwrite(text->base + text->start, 1, buffer_length(text), stdout);
}

static size_t count_certificates(const struct snapshot *snapshot)
{
    return snapshot->tls != NULL ? cert_store_count(tls_server_certs(snapshot->tls)) : 0;
}

/* {"errors":[…],"warnings":[…]}, with the counts put in when there is something to count. */
static void print_json(const struct snapshot *snapshot, const struct problems *problems)
{
    struct buffer text = {0};
    problems_print_json(problems, &text);
    while (buffer_length(&text) > 0 && text.base[text.end - 1] != '}')
        text.end--;
    if (snapshot != NULL && buffer_length(&text) > 0) {
        text.end--;
        buffer_printf(&text, ",\"routes\":%u,\"backends\":%u,\"certificates\":%zu}",
                      snapshot->config->route_count, snapshot->config->upstream_count,
                      count_certificates(snapshot));
    }
    buffer_append_text(&text, "\n");
    print(&text);
    buffer_clear(&text);
}

static void print_text(const char *file, const struct snapshot *snapshot,
                       const struct problems *problems)
{
    struct buffer text = {0};
    problems_print(problems, &text, terminal_takes_colour(STDOUT_FILENO));
    if (snapshot != NULL) {
        size_t certificates = count_certificates(snapshot);
        buffer_printf(&text, "%s is fine: %u route%s, %u backend%s, %zu certificate%s\n", file,
                      snapshot->config->route_count, snapshot->config->route_count == 1 ? "" : "s",
                      snapshot->config->upstream_count,
                      snapshot->config->upstream_count == 1 ? "" : "s", certificates,
                      certificates == 1 ? "" : "s");
    }
    print(&text);
    buffer_clear(&text);
}

/* The gateway reads everything as the user it becomes; so does this, when root runs it. False: not
 * to be had, and said. */
static bool read_as_user(const char *file, struct problems *problems)
{
    struct globals *wanted = geteuid() == 0 ? snapshot_peek(file) : NULL;
    const struct process_user *user = wanted != NULL ? &wanted->process_user : NULL;
    struct error error;
    bool is_fine = true;
    if (user != NULL && user->user != NULL && user->uid != 0) {
        is_fine = privileges_become(user, &error);
        if (!is_fine)
            problems_add(problems, false, file, 0, 0, "user", NULL, "%s", error.message);
    }
    globals_unref(wanted);
    return is_fine;
}

int command_check(const struct arguments *arguments)
{
    if (!route_file_is_named(arguments))
        return EXIT_INVALID;
    struct problems problems;
    problems_init(&problems);
    struct ticket_keys *keys = ticket_keys_new(3600);
    uid_t started_as = getuid();
    struct snapshot *snapshot = NULL;
    if (read_as_user(arguments->config, &problems))
        snapshot =
            snapshot_load(arguments->config,
                          &(struct load_options){.keys = keys, .strict_certs = true}, &problems);
    if (problems.errors > 0 && getuid() != started_as)
        problems_add(&problems, true, arguments->config, 0, 0, "user", NULL,
                     "everything was read as uid %u: the gateway, started by root, does the same",
                     (unsigned)getuid());
    if (snapshot != NULL)
        snapshot_check_names(snapshot, arguments->config, &problems);
    problems_sort(&problems);
    if (arguments->as_json)
        print_json(snapshot, &problems);
    else
        print_text(arguments->config, snapshot, &problems);
    int code = snapshot != NULL ? EXIT_FINE : EXIT_INVALID;
    if (snapshot != NULL)
        snapshot_unref(snapshot);
    ticket_keys_free(keys);
    problems_clear(&problems);
    buffer_cache_clear();
    return code;
}
