#include "config/pinned.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static char outside[64], inside[64], other[64];

static void write_file(const char *path)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs("one", file);
    fclose(file);
}

/* A file that is mounted over another one by itself. */
static void mount_file(void)
{
    char folder[] = "/tmp/pinned-XXXXXX";
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        cr_skip_test("nothing can be mounted here");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(outside, sizeof(outside), "%s/outside", folder);
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    write_file(outside);
    write_file(inside);
    cr_assert_eq(mount(outside, inside, NULL, MS_BIND, NULL), 0);
}

static void unmount_file(void)
{
    cr_expect_eq(umount(inside), 0);
    remove(inside);
    remove(outside);
    remove(other);
    *strrchr(inside, '/') = '\0';
    cr_expect_eq(rmdir(inside), 0);
}

Test(pinned, not_mounted)
{
    cr_expect_eq(pinned_state("/"), PINNED_NOT);
    cr_expect_eq(pinned_state("/tmp"), PINNED_NOT);
    cr_expect_eq(pinned_state("/nowhere/at/all"), PINNED_NOT);
}

Test(pinned, current)
{
    mount_file();
    cr_expect_eq(pinned_state(inside), PINNED_CURRENT);
    cr_expect_eq(pinned_state(outside), PINNED_NOT);
    unmount_file();
}

Test(pinned, replaced_by_a_rename)
{
    mount_file();
    write_file(other);
    cr_assert_eq(rename(other, outside), 0);
    cr_expect_eq(pinned_state(inside), PINNED_STALE);
    unmount_file();
}

Test(pinned, replaced_while_another_name_is_left)
{
    mount_file();
    cr_assert_eq(link(outside, other), 0);
    cr_assert_eq(remove(outside), 0);
    write_file(outside);
    cr_expect_eq(pinned_state(inside), PINNED_STALE);
    unmount_file();
}
