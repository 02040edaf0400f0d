/* What the system says of files, and when it is not to be trusted yet. */
#include "tls/cert_files.h"

#include "base/clock.h"
#include "support/test_certs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct cert_paths paths;

static void set_up(void)
{
    test_folder_make();
    paths = (struct cert_paths){
        .chain = test_path("a.crt"), .key = test_path("a.key"), .ocsp = test_path("a.ocsp")};
    test_file_write("a.crt", "chain");
    test_file_write("a.key", "key");
}

TestSuite(cert_files, .init = set_up, .fini = test_folder_remove);

static uint64_t digest(void)
{
    return cert_stamps_take(&paths).digest;
}

/* Expects another digest than the last one. */
static void expect_change(const char *what)
{
    static uint64_t last;

    cr_assert_neq(digest(), last, "%s", what);
    last = digest();
}

Test(cert_files, every_change_of_a_file_changes_the_stamps)
{
    expect_change("first");
    test_file_write("a.ocsp", "ocsp");
    expect_change("a file that was not there");
    cr_assert_eq(unlink(paths.ocsp), 0);
    expect_change("a file that is gone");
    test_file_write("a.key", "longer");
    expect_change("size");
    test_file_write("b", "longer");
    cr_assert_eq(rename(test_path("b"), paths.key), 0);
    expect_change("inode");
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    cr_assert_eq(utimensat(AT_FDCWD, paths.chain, times, 0), 0);
    expect_change("time of writing");
    cr_assert_eq(digest(), digest());
}

static void write_in_place(const char *text)
{
    int fd = open(paths.chain, O_WRONLY);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* What is written twice within one tick of the kernel's clock has the same stamps: those are fresh
 * then. Where the file system is finer than that, there is nothing to see. */
Test(cert_files, stamps_that_cannot_tell_two_writes_apart_are_fresh)
{
    unsigned same = 0;

    for (int i = 0; i < 1000 && same < 10; i++) {
        write_in_place("CHAIN");
        struct cert_stamps before = cert_stamps_take(&paths);
        write_in_place("chain");
        if (cert_stamps_take(&paths).digest != before.digest)
            continue;
        same++;
        cr_assert(before.is_fresh);
    }
    if (same == 0)
        cr_skip_test("this file system tells any two writes apart");
}

Test(cert_files, stamps_do_not_stay_fresh)
{
    while (cert_stamps_take(&paths).is_fresh)
        continue;
    cr_assert(!cert_stamps_take(&paths).is_fresh);
}

/* Half of what such a file system could still do to it has not passed. On a machine that is slow at
 * this moment it has: then once more. */
Test(cert_files, times_in_whole_seconds_are_fresh_for_longer)
{
    struct timespec now;
    bool is_seen = false;

    for (int i = 0; i < 100 && !is_seen; i++) {
        clock_gettime(CLOCK_REALTIME, &now);
        const struct timespec times[2] = {{.tv_sec = now.tv_sec}, {.tv_sec = now.tv_sec}};
        time_t written = now.tv_sec;
        struct cert_stamps stamps;

        cr_assert_eq(utimensat(AT_FDCWD, paths.chain, times, 0), 0);
        uint64_t start_ms = clock_monotonic_ms();
        while (clock_monotonic_ms() < start_ms + 200)
            continue; /* ctime has aged */
        stamps = cert_stamps_take(&paths);
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec >= written + 2)
            continue;
        is_seen = true;
        cr_assert(stamps.is_fresh);
    }
    cr_assert(is_seen);
}

Test(cert_files, fingerprints_are_of_the_bytes)
{
    struct error error;
    struct cert_bytes bytes;

    cr_assert(cert_bytes_read(&paths, &bytes, &error));
    uint64_t before = cert_bytes_fingerprint(&bytes);
    cert_bytes_clear(&bytes);
    test_file_write("a.crt", "chaink");
    test_file_write("a.key", "ey");
    cr_assert(cert_bytes_read(&paths, &bytes, &error));
    cr_assert_neq(cert_bytes_fingerprint(&bytes), before);
    cert_bytes_clear(&bytes);
    cr_assert_eq(unlink(paths.key), 0);
    cr_assert(!cert_bytes_read(&paths, &bytes, &error));
    cr_assert(strstr(error.message, "a.key cannot be read"), "%s", error.message);
}
