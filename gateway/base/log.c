#include "base/log.h"

#include "base/clock.h"
#include "base/json_text.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* No longer than a pipe always takes at once when it says that it is writable. */
enum { LINE_BYTES = 4096, MESSAGE_BYTES = 3000 };

static atomic_int configured_level = LOG_INFO;
static atomic_int configured_format = LOG_TEXT;

/* Held while a line is written: what poll said stays true, and lines do not mix. */
static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long dropped_lines; /* under the lock */

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&configured_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&configured_format, (int)format, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&configured_level, memory_order_relaxed);
}

/* A reader of stderr that stalls must not stall the gateway. */
static bool stderr_takes(int patience_ms)
{
    struct pollfd ask = {.fd = STDERR_FILENO, .events = POLLOUT};
    int answer;
    do {
        answer = poll(&ask, 1, patience_ms);
    } while (answer < 0 && errno == EINTR);
    return answer == 1 && (ask.revents & POLLOUT) != 0 && (ask.revents & (POLLERR | POLLNVAL)) == 0;
}

/* False if nothing could be written. The lock is held. */
static bool write_line(struct slice line, int patience_ms)
{
    while (line.len > 0) {
        if (!stderr_takes(patience_ms))
            return false;
        ssize_t sent = write(STDERR_FILENO, line.at, line.len);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        line = slice_skip(line, (size_t)sent);
    }
    return true;
}

/* One line with its newline; never longer than LINE_BYTES. */
static size_t format_line(char line[LINE_BYTES], enum log_level level, const char *event,
                          const char *message)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), time);
    bool is_json = atomic_load_explicit(&configured_format, memory_order_relaxed) == LOG_JSON;
    size_t room = LINE_BYTES / 4;
    int length = is_json ? snprintf(line, room,
                                    "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\","
                                    "\"message\":\"",
                                    time, level_names[level], event)
                         : snprintf(line, room, "%s %-5s %s: ", time, level_names[level], event);
    size_t at = length < 0 ? 0 : (size_t)length;
    if (at > room - 1)
        at = room - 1;
    struct slice text = slice_of(message);
    if (is_json) {
        at += json_escape(text, line + at, LINE_BYTES - at - 3);
        line[at++] = '"';
        line[at++] = '}';
    } else {
        /* Text for people: quotes and backslashes stay, only controls are escaped. */
        for (; text.len > 0 && at < LINE_BYTES - 8; text = slice_skip(text, 1)) {
            unsigned char byte = (unsigned char)text.at[0];
            if (byte >= 0x20 && byte != 0x7f)
                line[at++] = (char)byte;
            else
                at += (size_t)snprintf(line + at, 5, "\\x%02x", byte);
        }
    }
    line[at++] = '\n';
    return at;
}

static void report_dropped(void)
{
    char message[100], line[LINE_BYTES];
    snprintf(message, sizeof(message), "%lu lines were lost: whoever reads stderr had stalled",
             dropped_lines);
    size_t length = format_line(line, LOG_WARN, "log.dropped", message);
    if (write_line(slice_make(line, length), 0))
        dropped_lines = 0;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if (!log_wants(level))
        return;
    char message[MESSAGE_BYTES], line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    size_t length = format_line(line, level, event, message);

    int saved_errno = errno;
    pthread_mutex_lock(&stderr_lock);
    if (dropped_lines > 0)
        report_dropped();
    if (!write_line(slice_make(line, length), 0))
        dropped_lines++;
    pthread_mutex_unlock(&stderr_lock);
    errno = saved_errno;
}

void log_raw(const char *line)
{
    enum { PATIENCE_MS = 1000 }; /* somebody waits for this one */
    struct buffer out = {0};
    if (!buffer_append_text(&out, line) || !buffer_append_text(&out, "\n"))
        return;
    pthread_mutex_lock(&stderr_lock);
    if (!write_line(buffer_content(&out), PATIENCE_MS))
        dropped_lines++;
    pthread_mutex_unlock(&stderr_lock);
    buffer_clear(&out);
}
