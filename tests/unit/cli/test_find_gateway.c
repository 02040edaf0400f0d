#include "cli/find_gateway.h"

#include "support/loopback.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct route_folder folder;
static struct gateway_places places;
static struct arguments arguments;

static void begin(void)
{
    route_folder_init(&folder);
    unsetenv("SALLYPORT_ADMIN");
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    arguments = (struct arguments){.config = folder.file};
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(find_gateway, .init = begin, .fini = end);

static void find(const char *file)
{
    route_folder_write(&folder, "routes.json", file);
    find_admin(&arguments, &places);
}

static const char *const with_admin = "{ 'listen': { 'admin': ['unix:/file/a', 'unix:/file/b'] } }";

Test(find_gateway, the_option_before_the_environment_before_the_file)
{
    setenv("SALLYPORT_ADMIN", "unix:/environment", 1);
    arguments.admin = "unix:/option";
    find(with_admin);
    cr_assert_eq(places.count, 1);
    cr_expect_str_eq(places.addresses[0], "unix:/option");
    arguments.admin = NULL;
    find(with_admin);
    cr_assert_eq(places.count, 1);
    cr_expect_str_eq(places.addresses[0], "unix:/environment");
    setenv("SALLYPORT_ADMIN", "", 1);
    find(with_admin);
    cr_assert_eq(places.count, 2);
    cr_expect_str_eq(places.addresses[1], "unix:/file/b");
}

Test(find_gateway, the_usual_places_at_last)
{
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    static const char *const files[] = {"{}", "{ 'listen': "};
    for (int i = 0; i < 2; i++) {
        find(files[i]);
        cr_assert_eq(places.count, 2);
        cr_expect_str_eq(places.addresses[0], "unix:/run/sallyport/admin.sock");
        cr_expect_str_eq(places.addresses[1], "unix:/run/user/7/sallyport/admin.sock");
    }
    arguments.config = NULL;
    find("{}");
    cr_expect_eq(places.count, 2);
}

Test(find_gateway, off)
{
    find("{ 'listen': { 'admin': 'off' } }");
    cr_expect_eq(places.count, 0);
    cr_expect(places.is_off);
    cr_redirect_stderr();
    say_unreachable(&places);
    fflush(stderr);
    char text[256];
    cr_assert_not_null(fgets(text, sizeof(text), cr_get_redirected_stderr()));
    cr_expect_not_null(strstr(text, "\"off\""));
}

Test(find_gateway, a_failure_names_every_place)
{
    find("{ 'listen': { 'admin': ['unix:/nowhere/a', 'unix:/nowhere/b'] } }");
    struct buffer body = {0};
    int status;
    const struct admin_request request = {
        .method = "GET", .path = "/", .accept = "*/*", .timeout_ms = 1000};
    cr_redirect_stderr();
    cr_expect_eq(ask_places(&places, &request, &status, &body), ADMIN_UNREACHABLE);
    say_unreachable(&places);
    fflush(stderr);
    char text[512];
    cr_assert_not_null(fgets(text, sizeof(text), cr_get_redirected_stderr()));
    cr_expect_not_null(strstr(text, "unix:/nowhere/a ("));
    cr_expect_not_null(strstr(text, "unix:/nowhere/b ("));
}
