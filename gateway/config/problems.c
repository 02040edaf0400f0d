#include "config/problems.h"

#include "base/check.h"
#include "base/json_text.h"
#include "base/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void problems_init(struct problems *problems)
{
    *problems = (struct problems){0};
}

void problems_clear(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->list[i].file);
        free(problems->list[i].path);
        free(problems->list[i].message);
        free(problems->list[i].suggestion);
    }
    free(problems->list);
    problems_init(problems);
}

static char *copy_or_null(const char *text)
{
    return text ? slice_duplicate(slice_of(text)) : NULL;
}

/* The list is full whenever its length is a power of two. */
static struct problem *append(struct problems *problems)
{
    size_t count = problems->count;

    if ((count & (count - 1)) == 0)
        problems->list =
            memory_resize(problems->list, (count ? 2 * count : 1) * sizeof(*problems->list));
    return &problems->list[problems->count++];
}

__attribute__((format(printf, 6, 0))) static void add(struct problems *problems, bool is_warning,
                                                      const char *file, struct text_place place,
                                                      const char *suggestion, const char *format,
                                                      va_list arguments)
{
    struct problem *problem = append(problems);

    *problem = (struct problem){
        .is_warning = is_warning,
        .file = copy_or_null(file),
        .line = place.line,
        .column = place.column,
        .path = copy_or_null(place.path),
        .message = memory_print_list(format, arguments),
        .suggestion = copy_or_null(suggestion),
    };
    problems->errors += !is_warning;
}

void problems_add(struct problems *problems, bool is_warning, const char *file, unsigned line,
                  unsigned column, const char *path, const char *suggestion, const char *format,
                  ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(problems, is_warning, file, (struct text_place){line, column, path}, suggestion, format,
        arguments);
    va_end(arguments);
}

void problems_add_at(struct problems *problems, bool is_warning, const char *file,
                     struct text_place place, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(problems, is_warning, file, place, NULL, format, arguments);
    va_end(arguments);
}

/* qsort keeps no order among equals: the place in the list decides then. */
struct numbered {
    struct problem problem;
    size_t number;
};

static int compare(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;

    if (a->problem.line != b->problem.line)
        return a->problem.line < b->problem.line ? -1 : 1;
    if (a->problem.column != b->problem.column)
        return a->problem.column < b->problem.column ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

void problems_sort(struct problems *problems)
{
    struct numbered *sorted = memory_array(problems->count + 1, sizeof(*sorted));

    for (size_t i = 0; i < problems->count; i++)
        sorted[i] = (struct numbered){.problem = problems->list[i], .number = i};
    qsort(sorted, problems->count, sizeof(*sorted), compare);
    for (size_t i = 0; i < problems->count; i++)
        problems->list[i] = sorted[i].problem;
    free(sorted);
}

static void print_one(const struct problem *problem, struct buffer *out, bool in_colour)
{
    const char *colour = problem->is_warning ? "\033[1;33m" : "\033[1;31m";

    terminal_append_text(out, problem->file ? problem->file : "");
    if (problem->line)
        buffer_printf(out, ":%u", problem->line);
    if (problem->line && problem->column)
        buffer_printf(out, ":%u", problem->column);
    buffer_printf(out, ": %s%s%s: ", in_colour ? colour : "",
                  problem->is_warning ? "warning" : "error", in_colour ? "\033[0m" : "");
    if (problem->path && problem->path[0]) {
        terminal_append_text(out, problem->path);
        buffer_append_text(out, ": ");
    }
    terminal_append_text(out, problem->message);
    if (problem->suggestion) {
        buffer_append_text(out, " (did you mean \"");
        terminal_append_text(out, problem->suggestion);
        buffer_append_text(out, "\"?)");
    }
    buffer_append_text(out, "\n");
}

void problems_print(const struct problems *problems, struct buffer *out, bool in_colour)
{
    for (size_t i = 0; i < problems->count; i++)
        print_one(&problems->list[i], out, in_colour);
}

static void print_number(const char *name, unsigned number, struct buffer *out)
{
    if (number)
        buffer_printf(out, ",\"%s\":%u", name, number);
    else
        buffer_printf(out, ",\"%s\":null", name);
}

static void print_list(const struct problems *problems, bool warnings, struct buffer *out)
{
    const char *separator = "";

    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        if (problem->is_warning != warnings)
            continue;
        buffer_printf(out, "%s{\"file\":", separator);
        json_append_text(out, problem->file);
        print_number("line", problem->line, out);
        print_number("column", problem->column, out);
        buffer_append_text(out, ",\"path\":");
        json_append_text(out, problem->path);
        buffer_append_text(out, ",\"message\":");
        json_append_text(out, problem->message);
        buffer_append_text(out, ",\"suggestion\":");
        json_append_text(out, problem->suggestion);
        buffer_append_text(out, "}");
        separator = ",";
    }
}

void problems_print_json(const struct problems *problems, struct buffer *out)
{
    buffer_append_text(out, "{\"errors\":[");
    print_list(problems, false, out);
    buffer_append_text(out, "],\"warnings\":[");
    print_list(problems, true, out);
    buffer_append_text(out, "]}");
}
