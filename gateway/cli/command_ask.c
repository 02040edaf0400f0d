#include "base/query.h"
#include "cli/commands.h"
#include "cli/find_gateway.h"

#include <stdio.h>

/* The gateway has put it into words, or JSON, already. */
static int ask_and_print(const struct arguments *arguments, const char *method, const char *path,
                         unsigned timeout_ms)
{
    struct gateway_places places;
    find_admin(arguments, &places);
    struct buffer body = {0};
    int status = 0, code = EXIT_FAILED;
    const struct admin_request request = {.method = method,
                                          .path = path,
                                          .accept = arguments->as_json ? "application/json"
                                                                       : "text/plain",
                                          .timeout_ms = timeout_ms};
    enum admin_result result = ask_places(&places, &request, &status, &body);
    if (result == ADMIN_UNREACHABLE) {
        say_unreachable(&places);
    } else if (result == ADMIN_ANSWERED) {
        code = status == 200 ? EXIT_FINE : EXIT_FAILED;
        FILE *to = code == EXIT_FINE || arguments->as_json ? stdout : stderr;
        fwrite(body.base + body.start, 1, buffer_length(&body), to);
    }
    buffer_clear(&body);
    buffer_cache_clear();
    return code;
}

int command_reload(const struct arguments *arguments)
{
    return ask_and_print(arguments, "POST", "/reload?changes", ADMIN_RELOAD_TIMEOUT_MS);
}

int command_status(const struct arguments *arguments)
{
    return ask_and_print(arguments, "GET", "/status", ADMIN_TIMEOUT_MS);
}

int command_purge(const struct arguments *arguments)
{
    struct buffer query = {0}, path = {0};
    int code;

    if (arguments->is_all)
        buffer_append_text(&query, "?all");
    else if (arguments->prefix != NULL)
        query_append(&query, "prefix", arguments->prefix);
    else if (arguments->tag != NULL)
        query_append(&query, "tag", arguments->tag);
    else
        query_append(&query, "url", arguments->operand);
    buffer_append_text(&path, "/purge");
    buffer_append(&path, buffer_content(&query));
    buffer_append(&path, slice_make("", 1));
    code = ask_and_print(arguments, "POST", buffer_content(&path).at, ADMIN_RELOAD_TIMEOUT_MS);
    buffer_clear(&path);
    buffer_clear(&query);
    buffer_cache_clear();
    return code;
}

int command_certs(const struct arguments *arguments)
{
    char path[64] = "/certs";
    /* Of what ends in this very second, too. */
    if (arguments->within_ms > 0)
        snprintf(path, sizeof(path), "/certs?within=%llu",
                 (unsigned long long)(arguments->within_ms + 999) / 1000);
    return ask_and_print(arguments, "GET", path, ADMIN_TIMEOUT_MS);
}
