#include "cli/arguments.h"

#include "base/slice.h"
#include "cli/commands.h"
#include "config/reader.h"
#include "config/snapshot.h"
#include "config/suggest.h"
#include "control/gateway.h"

#include <stdlib.h>

struct option_text {
    enum option option;
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what follows, as help calls it; NULL: nothing */
};

static const struct option_text options[] = {
    {OPTION_CONFIG, 'c', "--config", "FILE"},   {OPTION_WORKERS, 0, "--workers", "N"},
    {OPTION_JSON, 0, "--json", NULL},           {OPTION_ADMIN, 0, "--admin", "ADDRESS"},
    {OPTION_SNI, 0, "--sni", "NAME"},           {OPTION_NO_SNI, 0, "--no-sni", NULL},
    {OPTION_METHOD, 0, "--method", "M"},        {OPTION_HEADER, 'H', "--header", "'Name: value'"},
    {OPTION_IP, 0, "--ip", "ADDRESS"},          {OPTION_LIVE, 0, "--live", NULL},
    {OPTION_WITHIN, 0, "--within", "DURATION"}, {OPTION_PREFIX, 0, "--prefix", "URL"},
    {OPTION_TAG, 0, "--tag", "NAME"},           {OPTION_ALL, 0, "--all", NULL},
};
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

/* What is left of the command line, and what was seen of it. */
struct parser {
    struct arguments *arguments;
    char **argv;
    int argc, next;
    unsigned seen;           /* options, as bits */
    const char *wanted_help; /* --help and -h, or --version and -V: as they were written */
    struct error *error;
};

static bool refuse_unknown_option(struct parser *parser, const char *written)
{
    struct slice name = slice_of(written);
    ptrdiff_t equals = slice_find(name, '=');
    if (equals >= 0)
        name.len = (size_t)equals;
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    for (int i = 0; i < OPTION_COUNT; i++)
        suggestion_consider(&suggestion, slice_of(options[i].name));
    suggestion_consider(&suggestion, slice_of("--help"));
    suggestion_consider(&suggestion, slice_of("--version"));
    const char *nearest = suggestion_text(&suggestion);
    error_set(parser->error, "there is no option %.*s%s%s%s", (int)name.len, name.at,
              nearest != NULL ? ": did you mean " : "", nearest != NULL ? nearest : "",
              nearest != NULL ? "?" : "");
    return false;
}

/* The option that `written` is, and the value that is in the same word (`--config=FILE`, `-cFILE`).
 */
static const struct option_text *find_option(const char *written, const char **value)
{
    *value = NULL;
    for (int i = 0; i < OPTION_COUNT; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(written, options[i].name, length) == 0 &&
            (written[length] == '\0' || written[length] == '=')) {
            *value = written[length] == '=' ? written + length + 1 : NULL;
            return &options[i];
        }
        if (options[i].letter != 0 && written[1] == options[i].letter && written[0] == '-') {
            *value = written[2] != '\0' ? written + 2 : NULL;
            return &options[i];
        }
    }
    return NULL;
}

static bool take_workers(struct parser *parser, const char *value)
{
    uint64_t workers;
    if (!slice_parse_u64(slice_of(value), &workers) || workers < 1 ||
        workers > GATEWAY_WORKERS_MAX) {
        error_set(parser->error, "--workers takes a number from 1 to %d, not \"%s\"",
                  GATEWAY_WORKERS_MAX, value);
        return false;
    }
    parser->arguments->workers = (unsigned)workers;
    return true;
}

static bool take_within(struct parser *parser, const char *value)
{
    uint64_t *within_ms = &parser->arguments->within_ms;
    if (reader_parse_duration(slice_of(value), within_ms) && *within_ms > 0)
        return true;
    error_set(parser->error, "--within takes a duration such as 30d or 12h, not \"%s\"", value);
    return false;
}

static bool take_header(struct parser *parser, const char *value)
{
    struct explain_question *question = &parser->arguments->question;
    if (question->header_count == EXPLAIN_HEADERS_MAX) {
        error_set(parser->error, "--header can be said %d times", EXPLAIN_HEADERS_MAX);
        return false;
    }
    question->headers[question->header_count++] = value;
    return true;
}

static bool take_option(struct parser *parser, const char *written)
{
    const char *value;
    const struct option_text *option = find_option(written, &value);
    if (option == NULL)
        return refuse_unknown_option(parser, written);
    if (option->value == NULL && value != NULL) {
        error_set(parser->error, "%s takes no value", option->name);
        return false;
    }
    if (option->value != NULL && value == NULL && parser->next < parser->argc)
        value = parser->argv[parser->next++];
    if (option->value != NULL && (value == NULL || *value == '\0')) {
        error_set(parser->error, "%s needs a value: %s %s", option->name, option->name,
                  option->value);
        return false;
    }
    parser->seen |= option->option;
    switch (option->option) {
    case OPTION_CONFIG: parser->arguments->config = value; return true;
    case OPTION_ADMIN: parser->arguments->admin = value; return true;
    case OPTION_JSON: parser->arguments->as_json = true; return true;
    case OPTION_WORKERS: return take_workers(parser, value);
    case OPTION_WITHIN: return take_within(parser, value);
    case OPTION_SNI: parser->arguments->question.sni = value; return true;
    case OPTION_NO_SNI: parser->arguments->question.has_no_sni = true; return true;
    case OPTION_METHOD: parser->arguments->question.method = value; return true;
    case OPTION_HEADER: return take_header(parser, value);
    case OPTION_IP: parser->arguments->question.ip = value; return true;
    case OPTION_LIVE: parser->arguments->is_live = true; return true;
    case OPTION_PREFIX: parser->arguments->prefix = value; return true;
    case OPTION_TAG: parser->arguments->tag = value; return true;
    case OPTION_ALL: parser->arguments->is_all = true; return true;
    }
    return true;
}

static bool take_command(struct parser *parser, const char *name)
{
    const struct command *command = command_find(name);
    char nearest[32];
    if (command == NULL) {
        const char *found = command_nearest(name, nearest);
        error_set(parser->error, "there is no command %s%s%s%s", name,
                  found != NULL ? ": did you mean " : "", found != NULL ? found : "",
                  found != NULL ? "?" : "");
        return false;
    }
    parser->arguments->command = command;
    return true;
}

static bool take_word(struct parser *parser, const char *word)
{
    struct arguments *arguments = parser->arguments;
    if (arguments->command == NULL)
        return take_command(parser, word);
    if (!arguments->command->takes_operand || arguments->operand != NULL) {
        error_set(parser->error, "%s is too much: `%s` takes %s", word, arguments->command->name,
                  arguments->command->takes_operand ? "one word" : "only options");
        return false;
    }
    arguments->operand = word;
    return true;
}

/* --help and --version stand for commands of that name; after a command, --help is about it. */
static bool take_standing_for_command(struct parser *parser, const char *written)
{
    bool is_help = strcmp(written, "--help") == 0 || strcmp(written, "-h") == 0;
    bool is_version = strcmp(written, "--version") == 0 || strcmp(written, "-V") == 0;
    if (!is_help && !is_version)
        return false;
    if (parser->wanted_help == NULL)
        parser->wanted_help = is_help ? "help" : "version";
    return true;
}

static bool check_options(struct parser *parser)
{
    const struct command *command = parser->arguments->command;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if ((parser->seen & options[i].option) == 0 || (command->options & options[i].option) != 0)
            continue;
        error_set(parser->error, "%s is no option of `%s`: see `sallyport help %s`",
                  options[i].name, command->name, command->name);
        return false;
    }
    return true;
}

static void fill_in(struct parser *parser)
{
    struct arguments *arguments = parser->arguments;
    if (parser->wanted_help != NULL) {
        const struct command *about = arguments->command;
        arguments->command = command_find(parser->wanted_help);
        if (about != NULL && arguments->command->takes_operand &&
            (arguments->operand == NULL || about->operand != NULL))
            arguments->operand = about->name;
        parser->seen &= OPTION_JSON & arguments->command->options;
    }
    if (arguments->command == NULL)
        arguments->command = command_find("run");
    if (arguments->config == NULL)
        arguments->config = snapshot_default_file();
    arguments->question.url = arguments->operand;
}

/* Where options may stand in the operand's place: one of them, or it. */
static bool check_instead(struct parser *parser)
{
    const struct command *command = parser->arguments->command;
    unsigned said = parser->seen & command->instead;
    bool is_one = (said & (said - 1)) == 0 && parser->arguments->operand == NULL;
    if (said != 0 && !is_one)
        error_set(parser->error, "`%s` takes one of them: sallyport %s %s", command->name,
                  command->name, command->operand);
    return said == 0 || is_one;
}

static bool check_operand(struct parser *parser)
{
    const struct command *command = parser->arguments->command;
    if (command->operand == NULL || parser->arguments->operand != NULL ||
        (parser->seen & command->instead) != 0)
        return true;
    error_set(parser->error, "`%s` needs one more word: sallyport %s %s", command->name,
              command->name, command->operand);
    return false;
}

bool arguments_parse(struct arguments *arguments, int argc, char **argv, struct error *error)
{
    *arguments = (struct arguments){0};
    struct parser parser = {
        .arguments = arguments, .argv = argv, .argc = argc, .next = 1, .error = error};
    while (parser.next < argc) {
        const char *word = argv[parser.next++];
        bool is_option = word[0] == '-' && word[1] != '\0';
        if (take_standing_for_command(&parser, word))
            continue;
        if (is_option ? !take_option(&parser, word) : !take_word(&parser, word))
            return false;
    }
    fill_in(&parser);
    return check_options(&parser) && check_instead(&parser) && check_operand(&parser);
}
