#include "cli/route_file.h"

#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;
static struct peeked_listen peeked;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(route_file, .init = begin, .fini = end);

static bool peek(const char *text)
{
    route_folder_write(&folder, "routes.json", text);
    return route_file_peek(folder.file, "admin", &peeked);
}

Test(route_file, an_address_in_every_form)
{
    static const char *const forms[] = {"'unix:/a'", "{ 'bind': 'unix:/a' }", "['unix:/a']",
                                        "[{ 'bind': 'unix:/a' }]"};
    for (int i = 0; i < 4; i++) {
        char text[128];
        snprintf(text, sizeof(text), "{ 'listen': { 'admin': %s } }", forms[i]);
        cr_assert(peek(text));
        cr_expect(peeked.is_named);
        cr_assert_eq(peeked.count, 1, "%s", forms[i]);
        cr_expect_str_eq(peeked.addresses[0], "unix:/a");
    }
}

Test(route_file, several)
{
    cr_assert(peek("{ 'listen': { 'admin': ['unix:/a', { 'bind': 'unix:/b' }] } }"));
    cr_assert_eq(peeked.count, 2);
    cr_expect_str_eq(peeked.addresses[1], "unix:/b");
}

Test(route_file, off_is_named_and_none)
{
    cr_assert(peek("{ 'listen': { 'admin': 'off' } }"));
    cr_expect(peeked.is_named);
    cr_expect_eq(peeked.count, 0);
}

Test(route_file, not_named)
{
    cr_assert(peek("{ 'listen': { 'https': ':1' } }"));
    cr_expect_not(peeked.is_named);
    cr_assert(peek("{}"));
    cr_expect_not(peeked.is_named);
    cr_assert(peek("[]"));
    cr_expect_not(peeked.is_named);
}

Test(route_file, the_environment_is_put_in)
{
    setenv("PEEKED_FOLDER", "/some/where", 1);
    cr_assert(peek("{ 'listen': { 'admin': 'unix:${PEEKED_FOLDER}/s' } }"));
    cr_expect_str_eq(peeked.addresses[0], "unix:/some/where/s");
}

Test(route_file, what_else_is_wrong_does_not_matter)
{
    cr_assert(peek("{ 'routs': 1, 'certs': 'nowhere', 'listen': { 'admin': 'unix:/a', 'x': 1 }, "
                   "'routes': { 'a.test': '${NOT_SET_ANYWHERE}' } }"));
    cr_expect_eq(peeked.count, 1);
    cr_assert(peek("{ 'listen': { 'admin': 5 } }"));
    cr_expect_eq(peeked.count, 0);
    cr_assert(peek("{ 'listen': 5 }"));
    cr_expect_eq(peeked.count, 0);
}

Test(route_file, what_cannot_be_read)
{
    cr_expect_not(peek("{ 'listen': "));
    cr_expect_not(route_file_peek("/nowhere/routes.json", "admin", &peeked));
    cr_expect_not(peeked.is_named);
}
