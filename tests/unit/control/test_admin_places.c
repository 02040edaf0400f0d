#include "control/admin_places.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32];
static struct admin_place places[ADMIN_PLACES_MAX];

static void begin(void)
{
    strcpy(folder, "/tmp/places-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
}

static void end(void)
{
    rmdir(folder);
}

TestSuite(admin_places, .init = begin, .fini = end);

Test(admin_places, one_without_an_environment)
{
    cr_assert_eq(admin_places(places), 1);
    cr_expect_str_eq(places[0].folder, "/run/sallyport");
    cr_expect_str_eq(places[0].address, "unix:/run/sallyport/admin.sock");
}

Test(admin_places, the_environment_in_its_order)
{
    setenv("RUNTIME_DIRECTORY", "/run/one:/run/two", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    cr_assert_eq(admin_places(places), 3);
    cr_expect_str_eq(places[0].address, "unix:/run/one/admin.sock", "the first of several");
    cr_expect_str_eq(places[1].address, "unix:/run/sallyport/admin.sock");
    cr_expect_str_eq(places[2].address, "unix:/run/user/7/sallyport/admin.sock");
}

Test(admin_places, what_cannot_hold_a_socket_is_left_out)
{
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[199] = '\0';
    setenv("RUNTIME_DIRECTORY", longest, 1);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    cr_expect_eq(admin_places(places), 1);
    setenv("RUNTIME_DIRECTORY", "", 1);
    cr_expect_eq(admin_places(places), 1);
}

Test(admin_places, the_first_that_can_be_written_is_chosen_and_made)
{
    char below[64];
    snprintf(below, sizeof(below), "%s/sallyport", folder);
    struct admin_place some[2] = {{.folder = "/nowhere/below"}, {.folder = ""}};
    snprintf(some[1].folder, sizeof(some[1].folder), "%s", below);
    cr_expect_null(admin_place_choose(some, 1));
    cr_expect_eq(admin_place_choose(some, 2), &some[1]);
    cr_expect_eq(access(below, W_OK), 0, "made");
    cr_expect_eq(admin_place_choose(some, 2), &some[1], "and found again");
    rmdir(below);
}

static uid_t owner_of(const char *path)
{
    struct stat status;
    cr_assert_eq(lstat(path, &status), 0);
    return status.st_uid;
}

Test(admin_places, the_best_one_is_given_to_the_user_that_root_becomes)
{
    char place[64], target[64];
    if (geteuid() != 0)
        cr_skip_test("only root gives folders away");
    snprintf(place, sizeof(place), "%s/sallyport", folder);
    snprintf(target, sizeof(target), "%s/target", folder);
    setenv("RUNTIME_DIRECTORY", place, 1);

    admin_place_hand_over(7, 8);
    cr_expect_eq(owner_of(place), 7, "made");
    admin_place_hand_over(9, 8);
    cr_expect_eq(owner_of(place), 7, "what is somebody else's stays theirs");
    cr_assert_eq(chown(place, 0, 0), 0);
    admin_place_hand_over(9, 8);
    cr_expect_eq(owner_of(place), 9, "root has left it there");
    rmdir(place);

    cr_assert_eq(mkdir(target, 0755), 0);
    cr_assert_eq(symlink(target, place), 0);
    admin_place_hand_over(7, 8);
    cr_expect_eq(owner_of(target), 0, "nothing is given away through a link");
    unlink(place);
    rmdir(target);
}
