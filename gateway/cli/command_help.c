#include "cli/commands.h"

#include <stdio.h>

static const struct {
    enum option option;
    const char *text;
} option_lines[] = {
    {OPTION_CONFIG,
     "  -c, --config FILE    the route file (else $SALLYPORT_CONFIG, ./routes/routes.json,\n"
     "                       /etc/sallyport/routes.json)\n"},
    {OPTION_WORKERS, "      --workers N      threads that serve (else one for each CPU)\n"},
    {OPTION_ADMIN,
     "      --admin ADDRESS  the running gateway's admin socket (else $SALLYPORT_ADMIN,\n"
     "                       listen.admin of the route file, the usual places)\n"},
    {OPTION_WITHIN,
     "      --within DURATION  only certificates that end within that time, such as 30d\n"},
    {OPTION_LIVE, "      --live           as the running gateway would, not the route file\n"},
    {OPTION_METHOD, "      --method M       the request's method (else GET)\n"},
    {OPTION_HEADER,
     "  -H, --header 'Name: value'  a header that the client sends; Host and X-Forwarded-For\n"
     "                       matter, and the Content-Length; can be repeated\n"},
    {OPTION_SNI, "      --sni NAME       the SNI that the client sends (else the URL's host)\n"},
    {OPTION_NO_SNI, "      --no-sni         the client sends none\n"},
    {OPTION_IP, "      --ip ADDRESS     where the client connects from\n"},
    {OPTION_PREFIX, "      --prefix URL     of all URLs that begin so\n"},
    {OPTION_TAG, "      --tag NAME       what came with this word in Surrogate-Key or Cache-Tag\n"},
    {OPTION_ALL, "      --all            everything\n"},
    {OPTION_JSON, "      --json           print JSON\n"},
};
enum { OPTION_LINES = sizeof(option_lines) / sizeof(option_lines[0]) };

static void print_options(unsigned which)
{
    for (int i = 0; i < OPTION_LINES; i++)
        if ((which & option_lines[i].option) != 0)
            fputs(option_lines[i].text, stdout);
}

static int print_overview(void)
{
    fputs("Sallyport: TLS in front, plain HTTP behind.\n\n"
          "usage: sallyport [COMMAND] [OPTION]...\n\n",
          stdout);
    for (unsigned i = 0; command_at(i) != NULL; i++)
        printf("  %-12s %s\n", command_at(i)->name, command_at(i)->summary);
    fputs("\noptions:\n", stdout);
    print_options(OPTION_CONFIG | OPTION_WORKERS | OPTION_ADMIN | OPTION_JSON);
    fputs(
        "\nexit codes: 0 fine; 1 failed at run time; 2 wrong usage; 3 route file, certificate or\n"
        "route test invalid; 4 `diff` found changes\n",
        stdout);
    return EXIT_FINE;
}

int command_help(const struct arguments *arguments)
{
    if (arguments->operand == NULL)
        return print_overview();
    const struct command *command = command_find(arguments->operand);
    char nearest[32];
    if (command == NULL) {
        const char *found = command_nearest(arguments->operand, nearest);
        fprintf(stderr, "sallyport: there is no command %s%s%s%s\n", arguments->operand,
                found != NULL ? ": did you mean " : "", found != NULL ? found : "",
                found != NULL ? "?" : "");
        return EXIT_USAGE;
    }
    printf("usage: sallyport %s%s%s%s\n\n%s\n", command->name,
           command->operand != NULL ? " "
           : command->takes_operand ? " [COMMAND]"
                                    : "",
           command->operand != NULL ? command->operand : "",
           command->options != 0 ? " [OPTION]..." : "", command->summary);
    if (command->help[0] != '\0')
        printf("\n%s", command->help);
    if (command->options != 0)
        fputs("\noptions:\n", stdout);
    print_options(command->options);
    return EXIT_FINE;
}
