/* Events for the operator: one line each on stderr, as text or JSON. Never the access log. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Any thread; takes effect for the next line. Starts as LOG_INFO and LOG_TEXT. */
void log_configure(enum log_level level, enum log_format format);
bool log_wants(enum log_level level);

/* Writes one line: time, level, the event's stable name (a word with dots or underscores), and a
 * sentence. Control characters in it are escaped. Any thread. One write(2) a line. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes `line` and a newline as it is, whatever level and format: the `ready` line. */
void log_raw(const char *line);

#endif
