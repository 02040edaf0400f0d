#include "base/log.h"

#include "base/buffer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* stderr is a pipe whose other end the test reads. */
static int reader = -1, saved = -1;

static void begin(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void end(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(reader);
    buffer_cache_clear();
}

TestSuite(log, .init = begin, .fini = end);

/* What has arrived, terminated. */
static char *said(void)
{
    static char text[1024 * 1024];
    size_t length = 0;
    for (ssize_t got; (got = read(reader, text + length, sizeof(text) - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    return text;
}

Test(log, a_line_of_text)
{
    log_event(LOG_INFO, "reload", "generation %d", 2);
    char *line = said();
    /* 2026-11-23T09:00:00.000Z info  reload: generation 2 */
    cr_assert_gt(strlen(line), 25);
    cr_assert_eq(line[10], 'T');
    cr_assert_eq(line[23], 'Z');
    cr_assert_str_eq(line + 24, " info  reload: generation 2\n");
    log_event(LOG_ERROR, "x", "y");
    cr_assert_str_eq(said() + 24, " error x: y\n");
}

Test(log, a_line_of_json)
{
    log_configure(LOG_INFO, LOG_JSON);
    log_event(LOG_WARN, "some_event", "a \"quoted\"\nmessage \xff");
    json_t *line = json_loads(said(), 0, NULL);
    cr_assert_not_null(line);
    cr_expect_eq(json_object_size(line), 4);
    cr_expect_str_eq(json_string_value(json_object_get(line, "level")), "warn");
    cr_expect_str_eq(json_string_value(json_object_get(line, "event")), "some_event");
    cr_expect_str_eq(json_string_value(json_object_get(line, "message")),
                     "a \"quoted\"\nmessage \xef\xbf\xbd");
    cr_expect_eq(strlen(json_string_value(json_object_get(line, "ts"))), 24);
    json_decref(line);
}

Test(log, levels)
{
    cr_expect_not(log_wants(LOG_DEBUG), "info is where it starts");
    log_event(LOG_DEBUG, "x", "y");
    cr_expect_str_empty(said());
    log_configure(LOG_ERROR, LOG_TEXT);
    cr_expect_not(log_wants(LOG_WARN));
    log_event(LOG_WARN, "x", "y");
    cr_expect_str_empty(said());
    log_event(LOG_ERROR, "x", "y");
    cr_expect_not(said()[0] == '\0');
    log_configure(LOG_DEBUG, LOG_TEXT);
    log_event(LOG_DEBUG, "x", "y");
    cr_expect_str_eq(said() + 24, " debug x: y\n");
}

Test(log, nothing_breaks_a_line_of_text)
{
    log_event(LOG_INFO, "x", "a\nb\x1b[31m\x7f");
    cr_assert_str_eq(said() + 24, " info  x: a\\x0ab\\x1b[31m\\x7f\n");
}

Test(log, long_messages_are_cut_but_remain_lines)
{
    char *message = malloc(100001);
    memset(message, '\n', 100000);
    message[100000] = '\0';
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        log_configure(LOG_INFO, (enum log_format)format);
        log_event(LOG_INFO, "x", "%s", message);
        char *line = said();
        cr_expect_leq(strlen(line), 4096);
        cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1);
        json_t *json = format == LOG_JSON ? json_loads(line, 0, NULL) : json_null();
        cr_expect_not_null(json);
        json_decref(json);
    }
    free(message);
}

Test(log, raw_lines_come_as_they_are_at_every_level)
{
    log_configure(LOG_ERROR, LOG_JSON);
    log_raw("{\"event\":\"ready\"}");
    cr_assert_str_eq(said(), "{\"event\":\"ready\"}\n");
}

Test(log, errno_stays)
{
    errno = ENOTTY;
    log_event(LOG_INFO, "x", "y");
    cr_assert_eq(errno, ENOTTY);
}

Test(log, a_reader_that_stalls_loses_lines_and_is_told)
{
    /* Never waits: the pipe fills, then lines are dropped. */
    for (int i = 0; i < 10000; i++)
        log_event(LOG_INFO, "flood", "line %d", i);
    char *before = said();
    cr_expect_null(strstr(before, "line 9999"));
    log_event(LOG_INFO, "after", "it");
    char *after = said();
    cr_expect_not_null(strstr(after, "warn  log.dropped: "));
    cr_expect_not_null(strstr(after, "info  after: it\n"));
    log_event(LOG_INFO, "again", "it");
    cr_expect_null(strstr(said(), "log.dropped"), "said once");
}

Test(log, a_closed_stderr_is_no_harm)
{
    close(STDERR_FILENO);
    log_event(LOG_INFO, "x", "y");
    log_raw("z");
}

Test(log, nobody_reads_any_more)
{
    signal(SIGPIPE, SIG_IGN);
    close(reader);
    log_event(LOG_INFO, "x", "y");
    log_raw("z");
}

static void *log_many(void *owner)
{
    for (int i = 0; i < 200; i++)
        log_event(LOG_INFO, "thread", "%s %d", (const char *)owner, i);
    return NULL;
}

Test(log, threads_do_not_mix_lines)
{
    pthread_t threads[4];
    char *names[] = {(char *)"aaaaaaaa", (char *)"bbbbbbbb", (char *)"cccccccc",
                     (char *)"dddddddd"};
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_many, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    char *rest = NULL;
    for (char *line = strtok_r(said(), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest), lines++) {
        char name[16];
        int number, used = 0;
        cr_assert_eq(sscanf(line + 24, " info  thread: %8s %d%n", name, &number, &used), 2);
        cr_assert_eq(line[24 + used], '\0');
    }
    cr_assert_eq(lines, 800);
}
