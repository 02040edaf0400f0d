#include "control/access_writer.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RINGS = 2, RING_BYTES = 1024 * 1024, PATIENCE_MS = 60 * 1000 };

static struct line_ring *rings[RINGS];
static struct access_writer *writer;
static char folder[32], path[64], other[64];

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    strcpy(folder, "/tmp/access-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    for (int i = 0; i < RINGS; i++)
        rings[i] = line_ring_new(RING_BYTES);
    struct error error;
    writer = access_writer_start(rings, RINGS, &error);
    cr_assert_not_null(writer);
}

static void stop(void)
{
    access_writer_stop(writer);
    writer = NULL;
}

static void end(void)
{
    stop();
    for (int i = 0; i < RINGS; i++)
        line_ring_free(rings[i]);
    unlink(path);
    unlink(other);
    rmdir(folder);
}

TestSuite(access_writer, .init = begin, .fini = end);

static void write_to(enum access_log kind, const char *file)
{
    struct access_target target;
    struct error error = {""};
    cr_assert(access_target_open(&target, kind, file, &error), "%s", error.message);
    access_writer_switch(writer, &target);
}

static void put(int ring, const char *line)
{
    cr_assert(line_ring_put(rings[ring], slice_of(line)));
}

/* The file's whole text. */
static const char *content(const char *file)
{
    static char text[4 * 1024 * 1024];
    int fd = open(file, O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[length < 0 ? 0 : length] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

static bool is_late(uint64_t since)
{
    sched_yield();
    return clock_monotonic_ms() - since > PATIENCE_MS;
}

static void await_content(const char *file, const char *expected)
{
    uint64_t since = clock_monotonic_ms();
    while (strcmp(content(file), expected) != 0)
        cr_assert_not(is_late(since), "%s holds %s", file, content(file));
}

static void await_lost(uint64_t lost)
{
    uint64_t since = clock_monotonic_ms();
    while (access_writer_lost(writer) < lost)
        cr_assert_not(is_late(since));
}

Test(access_writer, lines_arrive_by_themselves)
{
    write_to(ACCESS_LOG_FILE, path);
    put(0, "one\n");
    await_content(path, "one\n");
    put(1, "two\n");
    await_content(path, "one\ntwo\n");
}

Test(access_writer, stopping_writes_the_rest)
{
    write_to(ACCESS_LOG_FILE, path);
    put(0, "first\n");
    put(1, "second\n");
    stop();
    cr_expect_str_eq(content(path), "first\nsecond\n");
}

Test(access_writer, appends_to_what_is_there)
{
    FILE *file = fopen(path, "w");
    fputs("before\n", file);
    fclose(file);
    write_to(ACCESS_LOG_FILE, path);
    put(0, "after\n");
    stop();
    cr_expect_str_eq(content(path), "before\nafter\n");
}

Test(access_writer, lines_of_two_rings_never_mix)
{
    enum { LINES = 5000, LENGTH = 100 };
    write_to(ACCESS_LOG_FILE, path);
    char line[LENGTH + 1];
    for (int i = 0; i < LINES; i++) {
        for (int ring = 0; ring < RINGS; ring++) {
            memset(line, 'a' + ring, sizeof(line));
            line[LENGTH - 1] = '\n';
            line_ring_put(rings[ring], slice_make(line, LENGTH));
        }
    }
    stop();
    const char *text = content(path);
    cr_assert_eq(strlen(text), (size_t)RINGS * LINES * LENGTH);
    for (size_t i = 0; i < (size_t)RINGS * LINES; i++, text += LENGTH) {
        cr_assert_eq(text[LENGTH - 1], '\n');
        for (int k = 1; k < LENGTH - 1; k++)
            cr_assert_eq(text[k], text[0]);
    }
}

Test(access_writer, a_line_longer_than_one_write)
{
    enum { LENGTH = 200 * 1000 };
    char *line = malloc(LENGTH + 1);
    memset(line, 'x', LENGTH);
    line[LENGTH - 1] = '\n';
    line[LENGTH] = '\0';
    write_to(ACCESS_LOG_FILE, path);
    put(0, line);
    put(0, "next\n");
    stop();
    cr_expect_eq(strlen(content(path)), LENGTH + 5);
    cr_expect_str_eq(content(path) + LENGTH, "next\n");
    free(line);
}

Test(access_writer, reopening_follows_a_rotation)
{
    write_to(ACCESS_LOG_FILE, path);
    put(0, "old\n");
    await_content(path, "old\n");
    cr_assert_eq(rename(path, other), 0);
    access_writer_reopen(writer);
    uint64_t since = clock_monotonic_ms();
    while (access(path, F_OK) != 0)
        cr_assert_not(is_late(since));
    put(0, "new\n");
    stop();
    cr_expect_str_eq(content(other), "old\n");
    cr_expect_str_eq(content(path), "new\n");
}

Test(access_writer, a_file_that_cannot_be_reopened_goes_on)
{
    char below[96];
    snprintf(below, sizeof(below), "%s/below", folder);
    snprintf(path, sizeof(path), "%s/below/log", folder);
    snprintf(other, sizeof(other), "%s/moved", folder);
    cr_assert_eq(mkdir(below, 0700), 0);
    write_to(ACCESS_LOG_FILE, path);
    put(0, "one\n");
    await_content(path, "one\n");
    cr_assert_eq(rename(path, other), 0);
    cr_assert_eq(rmdir(below), 0);
    access_writer_reopen(writer);
    put(0, "two\n");
    await_content(other, "one\ntwo\n");
}

Test(access_writer, switching_to_another_file)
{
    write_to(ACCESS_LOG_FILE, path);
    put(0, "one\n");
    await_content(path, "one\n");
    write_to(ACCESS_LOG_FILE, other);
    access_writer_reopen(writer); /* taken together with the switch: the first is not made anew */
    unlink(path);
    put(0, "two\n");
    await_content(other, "two\n");
    stop();
    cr_expect_neq(access(path, F_OK), 0);
}

/* However busy the writer is when the order comes. */
Test(access_writer, what_is_logged_behind_a_switch_goes_to_nothing_older)
{
    enum { SWITCHES = 400 };
    char file[80], line[16];

    for (int i = 0; i < SWITCHES; i++) {
        snprintf(file, sizeof(file), "%s/%d", folder, i);
        snprintf(line, sizeof(line), "%d\n", i);
        write_to(ACCESS_LOG_FILE, file);
        for (int j = 0; j < 20; j++)
            put(j % RINGS, line);
    }
    stop();
    for (int i = 0; i < SWITCHES; i++) {
        snprintf(file, sizeof(file), "%s/%d", folder, i);
        for (const char *at = content(file); *at != '\0'; at = strchr(at, '\n') + 1)
            cr_assert_leq(atoi(at), i, "a line of %d is in file %d", atoi(at), i);
        unlink(file);
    }
}

Test(access_writer, off_swallows)
{
    write_to(ACCESS_LOG_OFF, NULL);
    put(0, "one\n");
    stop();
    cr_expect_neq(access(path, F_OK), 0);
}

Test(access_writer, what_cannot_be_written_is_counted)
{
    write_to(ACCESS_LOG_FILE, "/dev/full");
    put(0, "one\ntwo\n");
    await_lost(2);
    write_to(ACCESS_LOG_FILE, path);
    put(0, "three\n");
    stop();
    cr_expect_str_eq(content(path), "three\n");
}

Test(access_writer, what_a_ring_drops_is_counted)
{
    char *line = calloc(1, RING_BYTES + 1);
    cr_assert_not(line_ring_put(rings[1], slice_make(line, RING_BYTES + 1)));
    cr_expect_eq(access_writer_lost(writer), 1);
    free(line);
}

Test(access_writer, a_reader_that_stalls_stalls_nobody_else)
{
    int ends[2], saved = dup(STDOUT_FILENO);
    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    write_to(ACCESS_LOG_STDOUT, NULL);
    char line[1000];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    unsigned put_in = 0;
    while (line_ring_put(rings[0], slice_make(line, sizeof(line))))
        put_in++;
    cr_expect_gt(put_in, 1000);
    cr_expect_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0, "stdout is not ours to change");
    uint64_t since = clock_monotonic_ms();
    stop(); /* gives up */
    cr_expect_lt(clock_monotonic_ms() - since, PATIENCE_MS);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

Test(access_writer, files_that_cannot_be_opened)
{
    struct access_target target;
    struct error error;
    cr_assert_not(access_target_open(&target, ACCESS_LOG_FILE, "/nowhere/log", &error));
    cr_expect_not_null(strstr(error.message, "/nowhere/log"));
    access_target_close(&target);

    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_not(access_target_open(&target, ACCESS_LOG_FILE, path, &error),
                  "a FIFO that nobody reads would wait for ever");
    access_target_close(&target);
}

Test(access_writer, switching_twice_before_it_is_taken_leaks_nothing)
{
    for (int i = 0; i < 20; i++)
        write_to(ACCESS_LOG_FILE, i % 2 == 0 ? path : other);
}
