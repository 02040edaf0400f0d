#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/route_file.h"
#include "config/snapshot.h"

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

int command_check(const struct arguments *arguments)
{
    if (!route_file_is_named(arguments))
        return EXIT_INVALID;
    struct problems problems;
    problems_init(&problems);
    struct ticket_keys *keys = ticket_keys_new(3600);
    struct snapshot *snapshot = snapshot_load(
        arguments->config, &(struct load_options){.keys = keys, .strict_certs = true}, &problems);
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
