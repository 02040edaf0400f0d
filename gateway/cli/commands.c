#include "cli/commands.h"

#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    {.name = "run",
     .summary = "start the gateway (also: no command at all)",
     .help =
         "Serves until SIGTERM, SIGINT or SIGQUIT, which drain it; a second one ends it at once.\n"
         "SIGHUP reloads the route file and certificates, SIGUSR1 opens log files anew.\n"
         "A line of JSON on standard error says when it is ready, and where it listens.\n",
     .options = OPTION_CONFIG | OPTION_WORKERS,
     .run = command_run},
    {.name = "check",
     .summary = "validate the route file, its certificates and its tests",
     .help = "Prints every problem, not just the first, with file, line, column and path.\n"
             "Broken certificates are errors here; expired ones are warnings.\n"
             "Ends with 3 when there is an error.\n",
     .options = OPTION_CONFIG | OPTION_JSON,
     .run = command_check},
    {.name = "explain",
     .summary = "how would this request be served, and why",
     .help = "Follows a request without sending it: SNI, certificate and the rule that chose it;\n"
             "route, near misses and why they did not match; backend, servers, settings in force\n"
             "and where each was written. An answer of 404 or an alert is explained as well: 0.\n"
             "OPTIONS of a URL without a path is OPTIONS *.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON | OPTIONS_OF_EXPLAIN,
     .takes_operand = true,
     .operand = "URL",
     .run = command_explain},
    {.name = "diff",
     .summary = "what would change if another route file were loaded",
     .help =
         "Compares NEW.json with what the running gateway serves, or, where none runs, with the\n"
         "route file: hosts, paths, backends, settings, certificates. With a running gateway\n"
         "its most recent requests are asked again, of both, without sending anything.\n"
         "Ends with 4 when something would change, with 3 when NEW.json is invalid.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON,
     .takes_operand = true,
     .operand = "NEW.json",
     .run = command_diff},
    {.name = "reload",
     .summary = "ask the running gateway to reload, and wait until it has",
     .help =
         "Prints the generation that every worker serves now and what changed, or all the errors.\n"
         "Ends with 1 when the reload is refused; the gateway then serves on as before.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON,
     .run = command_reload},
    {.name = "status",
     .summary = "generation, listeners, connections, backends, certificates",
     .help = "Asks the running gateway over its admin socket.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON,
     .run = command_status},
    {.name = "certs",
     .summary = "every certificate: names, key, expiry, state, and who needs it",
     .help =
         "Asks the running gateway over its admin socket. A quarantined certificate is one whose\n"
         "files are broken; what was read before goes on being served. For each, the hosts of the\n"
         "route file that it answers for, and whether another certificate outlasts it.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON | OPTION_WITHIN,
     .run = command_certs},
    {.name = "purge",
     .summary = "have the running gateway forget responses that it keeps",
     .help =
         "A URL: what is kept of it, in all variants. A prefix: of all URLs that begin so. A tag:\n"
         "what came with it in Surrogate-Key or Cache-Tag. Prints how many responses are gone.\n"
         "What is being fetched just now is given to those who asked for it, and not kept.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON | OPTIONS_OF_PURGE,
     .takes_operand = true,
     .operand = "URL | --prefix URL | --tag NAME | --all",
     .instead = OPTIONS_OF_PURGE,
     .run = command_purge},
    {.name = "healthcheck",
     .summary = "exit 0 if the running gateway is ready",
     .help =
         "Asks the admin socket, else a status address; where neither is configured, it connects\n"
         "to the first listener. For a container's health check.\n",
     .options = OPTION_CONFIG | OPTION_ADMIN | OPTION_JSON,
     .run = command_healthcheck},
    {.name = "help",
     .summary = "this, or more about one command",
     .help = "",
     .takes_operand = true,
     .run = command_help},
    {.name = "version",
     .summary = "version, libraries and build type",
     .help = "",
     .options = OPTION_JSON,
     .run = command_version},
};

const struct command *command_at(unsigned index)
{
    return index < sizeof(commands) / sizeof(commands[0]) ? &commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (unsigned i = 0; command_at(i) != NULL; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

const char *command_nearest(const char *name, char nearest[32])
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, slice_of(name));
    for (unsigned i = 0; command_at(i) != NULL; i++)
        suggestion_consider(&suggestion, slice_of(commands[i].name));
    const char *found = suggestion_text(&suggestion);
    if (found != NULL)
        snprintf(nearest, 32, "%s", found);
    return found != NULL ? nearest : NULL;
}

int command_line_run(int argc, char **argv)
{
    struct arguments arguments;
    struct error error;
    if (!arguments_parse(&arguments, argc, argv, &error)) {
        fprintf(stderr, "sallyport: %s\nTry `sallyport help`.\n", error.message);
        return EXIT_USAGE;
    }
    int code = arguments.command->run(&arguments);
    /* Output that did not get out is a failure, whatever it said. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sallyport: standard output cannot be written\n");
        return code == EXIT_FINE ? EXIT_FAILED : code;
    }
    return code;
}
