#include "cli/commands.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 16 };

static struct arguments arguments;
static struct error error;

static void begin(void)
{
    setenv("SALLYPORT_CONFIG", "/from/the/environment.json", 1);
}

TestSuite(arguments, .init = begin);

/* Parses "sallyport LINE". */
static bool parse(const char *line)
{
    static char copy[512];
    char *argv[WORDS_MAX] = {(char *)"sallyport"}, *rest = NULL;
    int argc = 1;
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    error = (struct error){""};
    return arguments_parse(&arguments, argc, argv, &error);
}

static void expect_refusal(const char *line, const char *words)
{
    cr_expect_not(parse(line), "%s", line);
    cr_expect_not_null(strstr(error.message, words), "%s: %s", line, error.message);
}

static const char *command_of(const char *line)
{
    cr_assert(parse(line), "%s: %s", line, error.message);
    return arguments.command->name;
}

Test(arguments, no_command_is_run)
{
    cr_expect_str_eq(command_of(""), "run");
    cr_expect_str_eq(command_of("-c x.json"), "run");
    cr_expect_str_eq(arguments.config, "x.json");
}

Test(arguments, every_command)
{
    static const char *const names[] = {"run",         "check", "reload", "status",
                                        "healthcheck", "help",  "version"};
    for (int i = 0; i < 7; i++)
        cr_expect_str_eq(command_of(names[i]), names[i]);
}

Test(arguments, options_in_every_form_and_place)
{
    static const char *const lines[] = {"run -c x.json --workers 3", "-cx.json --workers=3 run",
                                        "--config x.json run --workers 3",
                                        "run --config=x.json --workers=3"};
    for (int i = 0; i < 4; i++) {
        cr_expect_str_eq(command_of(lines[i]), "run");
        cr_expect_str_eq(arguments.config, "x.json");
        cr_expect_eq(arguments.workers, 3);
    }
    cr_expect_str_eq(command_of("reload --admin unix:/a --json"), "reload");
    cr_expect_str_eq(arguments.admin, "unix:/a");
    cr_expect(arguments.as_json);
}

Test(arguments, the_route_file_is_found_where_none_is_named)
{
    parse("check");
    cr_expect_str_eq(arguments.config, "/from/the/environment.json");
}

Test(arguments, help_and_version_as_options)
{
    cr_expect_str_eq(command_of("--help"), "help");
    cr_expect_null(arguments.operand);
    cr_expect_str_eq(command_of("-h"), "help");
    cr_expect_str_eq(command_of("--version"), "version");
    cr_expect_str_eq(command_of("-V"), "version");
    cr_expect_str_eq(command_of("check --help"), "help");
    cr_expect_str_eq(arguments.operand, "check");
    cr_expect_str_eq(command_of("--help check"), "help");
    cr_expect_str_eq(arguments.operand, "check");
    cr_expect_str_eq(command_of("help reload"), "help");
    cr_expect_str_eq(arguments.operand, "reload");
    cr_expect_str_eq(command_of("version --json"), "version");
    cr_expect(arguments.as_json);
}

Test(arguments, typing_mistakes)
{
    expect_refusal("relaod", "did you mean reload?");
    expect_refusal("chekc", "did you mean check?");
    expect_refusal("run --wrokers 2", "did you mean --workers?");
    expect_refusal("run --confg=x", "did you mean --config?");
    expect_refusal("frobnicate", "there is no command frobnicate");
    expect_refusal("run -x", "there is no option -x");
    expect_refusal("run --x=y", "there is no option --x");
    cr_expect_null(strstr(error.message, "did you mean"));
}

Test(arguments, within)
{
    cr_assert(parse("certs --within 30d"));
    cr_expect_eq(arguments.within_ms, 30ULL * 24 * 3600 * 1000);
    cr_assert(parse("certs --within=12h"));
    cr_expect_eq(arguments.within_ms, 12ULL * 3600 * 1000);
    cr_assert(parse("certs"));
    cr_expect_eq(arguments.within_ms, 0);
    expect_refusal("certs --within 30", "takes a duration such as 30d");
    expect_refusal("certs --within 0d", "takes a duration such as 30d");
    expect_refusal("status --within 30d", "is no option of `status`");
}

Test(arguments, a_word_that_must_be_there)
{
    cr_expect_str_eq(command_of("diff --json x.json -c y.json"), "diff");
    cr_expect_str_eq(arguments.operand, "x.json");
    expect_refusal("diff", "sallyport diff NEW.json");
    expect_refusal("diff --json -c x.json", "`diff` needs one more word");
    expect_refusal("diff x.json y.json", "y.json is too much");
    cr_expect_str_eq(command_of("diff --help"), "help");
    cr_expect_str_eq(arguments.operand, "diff");
}

Test(arguments, workers)
{
    expect_refusal("run --workers 0", "from 1 to 256");
    expect_refusal("run --workers 257", "from 1 to 256");
    expect_refusal("run --workers many", "\"many\"");
    expect_refusal("run --workers -1", "\"-1\"");
    cr_expect(parse("run --workers 256"));
}

Test(arguments, values_that_are_missing_or_too_many)
{
    expect_refusal("check -c", "--config FILE");
    expect_refusal("reload --admin", "--admin ADDRESS");
    expect_refusal("check --config=", "needs a value");
    expect_refusal("check --json=yes", "takes no value");
}

Test(arguments, an_option_of_another_command)
{
    expect_refusal("check --workers 2", "--workers is no option of `check`");
    expect_refusal("run --admin unix:/a", "--admin is no option of `run`");
    expect_refusal("run --json", "--json is no option of `run`");
    expect_refusal("--workers 2 version", "sallyport help version");
}

Test(arguments, a_word_too_many)
{
    expect_refusal("version superfluous", "superfluous");
    expect_refusal("check routes.json", "routes.json");
    expect_refusal("help check reload", "reload");
}

Test(arguments, explain)
{
    const struct explain_question *question = &arguments.question;

    cr_expect_str_eq(command_of("explain https://a/x --sni b.test --method PUT -H Host:c.test "
                                "--header=X-Forwarded-For:1.2.3.4 --ip 10.0.0.1 --live"),
                     "explain");
    cr_expect_str_eq(question->url, "https://a/x");
    cr_expect_str_eq(question->sni, "b.test");
    cr_expect_str_eq(question->method, "PUT");
    cr_expect_eq(question->header_count, 2);
    cr_expect_str_eq(question->headers[0], "Host:c.test");
    cr_expect_str_eq(question->headers[1], "X-Forwarded-For:1.2.3.4");
    cr_expect_str_eq(question->ip, "10.0.0.1");
    cr_expect(arguments.is_live);
    cr_expect_not(question->has_no_sni);
    cr_expect_str_eq(command_of("--no-sni -c x.json explain https://a/"), "explain");
    cr_expect(question->has_no_sni);
    cr_expect_null(question->method);
    cr_expect_str_eq(command_of("explain https://a/ --help"), "help");
    cr_expect_str_eq(arguments.operand, "explain");
}

Test(arguments, explain_without_a_url)
{
    expect_refusal("explain", "needs one more word: sallyport explain URL");
    expect_refusal("explain --live", "explain URL");
    expect_refusal("explain https://a https://b", "is too much");
    expect_refusal("explain https://a --sni", "--sni NAME");
    expect_refusal("explain https://a --ip=", "needs a value");
    expect_refusal("explain https://a -H", "--header");
    expect_refusal("explain https://a --no-sni=x", "takes no value");
    expect_refusal("explain https://a --metod PUT", "did you mean --method?");
    expect_refusal("check --live", "--live is no option of `check`");
}

Test(arguments, purge)
{
    cr_expect_str_eq(command_of("purge https://a/x"), "purge");
    cr_expect_str_eq(arguments.operand, "https://a/x");
    cr_expect_str_eq(command_of("purge --prefix https://a/ --json"), "purge");
    cr_expect_str_eq(arguments.prefix, "https://a/");
    cr_expect_str_eq(command_of("purge --tag=news"), "purge");
    cr_expect_str_eq(arguments.tag, "news");
    cr_expect_str_eq(command_of("purge --all"), "purge");
    cr_expect(arguments.is_all);
    expect_refusal("purge", "needs one more word: sallyport purge URL | --prefix URL");
    expect_refusal("purge https://a --all", "takes one of them");
    expect_refusal("purge --tag a --prefix https://a/", "takes one of them");
    expect_refusal("purge --all=x", "takes no value");
    expect_refusal("status --all", "--all is no option of `status`");
}

Test(arguments, explain_with_too_many_headers)
{
    char *argv[2 * EXPLAIN_HEADERS_MAX + 5] = {(char *)"sallyport", (char *)"explain",
                                               (char *)"https://a/"};
    int argc = 3;

    for (int i = 0; i < EXPLAIN_HEADERS_MAX; i++) {
        argv[argc++] = (char *)"-H";
        argv[argc++] = (char *)"a: b";
    }
    cr_expect(arguments_parse(&arguments, argc, argv, &error));
    argv[argc++] = (char *)"-Ha: b";
    cr_expect_not(arguments_parse(&arguments, argc, argv, &error));
    cr_expect_not_null(strstr(error.message, "32 times"));
}
