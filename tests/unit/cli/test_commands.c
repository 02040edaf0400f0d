#include "cli/commands.h"

#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 16 };

static struct route_folder folder;

static void begin(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(commands, .init = begin, .fini = end);

/* Runs "sallyport WORDS...", NULL at the end. */
static int run(const char *const *words)
{
    char *argv[WORDS_MAX] = {(char *)"sallyport"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    return command_line_run(argc, argv);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

/* What came since the last time. */
static const char *read_all(FILE *from)
{
    static char text[64 * 1024];
    size_t length = fread(text, 1, sizeof(text) - 1, from);
    text[length] = '\0';
    clearerr(from);
    return text;
}

static const char *printed(void)
{
    fflush(stdout);
    return read_all(cr_get_redirected_stdout());
}

static const char *complained(void)
{
    fflush(stderr);
    return read_all(cr_get_redirected_stderr());
}

Test(commands, wrong_usage)
{
    cr_expect_eq(RUN("relaod"), EXIT_USAGE);
    cr_expect_str_eq(complained(), "sallyport: there is no command relaod: did you mean reload?\n"
                                   "Try `sallyport help`.\n");
}

Test(commands, help)
{
    cr_expect_eq(RUN("help"), EXIT_FINE);
    const char *text = printed();
    for (unsigned i = 0; command_at(i) != NULL; i++)
        cr_expect_eq(strstr(text, command_at(i)->name) != NULL, command_at(i)->run != NULL, "%s",
                     command_at(i)->name);
}

Test(commands, help_for_each)
{
    for (unsigned i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        if (command->run == NULL)
            continue;
        cr_expect_eq(RUN("help", command->name), EXIT_FINE);
        const char *text = printed();
        cr_expect_not_null(strstr(text, command->summary));
        cr_expect_eq(strstr(text, "--admin") != NULL, (command->options & OPTION_ADMIN) != 0);
        cr_expect_eq(strstr(text, "--workers") != NULL, (command->options & OPTION_WORKERS) != 0);
    }
    cr_expect_eq(RUN("help", "staus"), EXIT_USAGE);
    cr_expect_not_null(strstr(complained(), "did you mean status?"));
}

Test(commands, version)
{
    cr_expect_eq(RUN("version"), EXIT_FINE);
    const char *text = printed();
    cr_expect_eq(strncmp(text, "sallyport ", 10), 0);
    cr_expect_not_null(strstr(text, "BoringSSL "));
    cr_expect_not_null(strstr(text, "libev 4."));
    cr_expect_not_null(strstr(text, "jansson 2."));
    cr_expect_eq(RUN("version", "--json"), EXIT_FINE);
    json_t *json = json_loads(printed(), 0, NULL);
    cr_expect(json_is_string(json_object_get(json, "boringssl")));
    json_decref(json);
}

/* --- check -------------------------------------------------------------------------------------
 */

Test(commands, check_of_a_good_file)
{
    char expected[256];
    route_folder_write(&folder, "routes.json",
                       "{ 'certs': 'certs', 'routes': { 'a.test': '127.0.0.1:1', 'b.test': "
                       "'127.0.0.1:2', 'c.test': { 'respond': {} } } }");
    cr_expect_eq(RUN("check", "-c", folder.file), EXIT_FINE);
    snprintf(expected, sizeof(expected), "%s is fine: 3 routes, 2 backends, 1 certificate\n",
             folder.file);
    cr_expect_str_eq(printed(), expected);
    cr_expect_eq(RUN("check", "-c", folder.file, "--json"), EXIT_FINE);
    json_t *json = json_loads(printed(), 0, NULL);
    cr_assert_not_null(json);
    cr_expect_eq(json_array_size(json_object_get(json, "errors")), 0);
    cr_expect_eq(json_integer_value(json_object_get(json, "routes")), 3);
    cr_expect_eq(json_integer_value(json_object_get(json, "backends")), 2);
    cr_expect_eq(json_integer_value(json_object_get(json, "certificates")), 1);
    json_decref(json);
}

Test(commands, check_of_a_bad_file)
{
    route_folder_write(&folder, "routes.json", "{ 'certs': 'certs',\n'rout': {},\n'routes': 5 }");
    cr_expect_eq(RUN("check", "-c", folder.file), EXIT_INVALID);
    const char *text = printed();
    cr_expect_not_null(strstr(text, "routes.json:2:1: error: rout: "));
    cr_expect_not_null(strstr(text, "routes.json:3:11: error: routes: "));
    cr_expect_null(strstr(text, "\033["), "no colours in a file");
    cr_expect_eq(RUN("check", "-c", folder.file, "--json"), EXIT_INVALID);
    json_t *json = json_loads(printed(), 0, NULL);
    cr_expect_eq(json_array_size(json_object_get(json, "errors")), 2);
    cr_expect_null(json_object_get(json, "routes"));
    json_decref(json);
}

Test(commands, check_is_strict_with_certificates)
{
    route_folder_write(&folder, "certs/broken.pem", "nonsense");
    route_folder_write(&folder, "routes.json", "{ 'certs': 'certs', 'routes': {} }");
    cr_expect_eq(RUN("check", "-c", folder.file), EXIT_INVALID);
    cr_expect_not_null(strstr(printed(), "broken.pem"));
}

Test(commands, check_warns)
{
    route_folder_certify(&folder, "old", "old.example", -1);
    route_folder_write(&folder, "routes.json", "{ 'certs': 'certs', 'routes': {} }");
    cr_expect_eq(RUN("check", "-c", folder.file), EXIT_FINE);
    const char *text = printed();
    cr_expect_not_null(strstr(text, "warning: "));
    cr_expect_not_null(strstr(text, " is fine: "));
}

Test(commands, without_a_route_file)
{
    unsetenv("SALLYPORT_CONFIG");
    cr_assert_eq(chdir(folder.path), 0);
    if (access("/etc/sallyport/routes.json", F_OK) == 0)
        return;
    cr_expect_eq(RUN("check"), EXIT_INVALID);
    const char *text = complained();
    cr_expect_not_null(strstr(text, "$SALLYPORT_CONFIG"));
    cr_expect_not_null(strstr(text, "/etc/sallyport/routes.json"));
    cr_expect_eq(RUN("run"), EXIT_INVALID);
}
