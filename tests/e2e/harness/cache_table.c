#include "cache_private.h"
#include "workplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- reading -------------------------------------------------------------------------------- */

char *cache_trim(char *from)
{
    char *end = from + strlen(from);

    while (*from == ' ')
        from++;
    while (end > from && end[-1] == ' ')
        *--end = '\0';
    return from;
}

static void split_words(struct cache_part *part, char *words)
{
    char *rest;

    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        workplace_require(part->word_count < CACHE_WORDS_MOST, "line %d: too many words",
                          part->line);
        part->words[part->word_count++] = word;
    }
}

/* "words | field | field" */
static struct cache_part read_part(int line, char *rest)
{
    struct cache_part part = {.line = line};
    char *bar = strstr(rest, "|");

    if (bar != NULL)
        *bar++ = '\0';
    split_words(&part, rest);
    while (bar != NULL) {
        char *field = bar;

        bar = strstr(field, " | ");
        if (bar != NULL) {
            *bar = '\0';
            bar += 3;
        }
        workplace_require(part.field_count < CACHE_FIELDS_MOST, "line %d: too many fields", line);
        part.fields[part.field_count++] = cache_trim(field);
    }
    return part;
}

static struct cache_step *last_step(struct cache_case *of, int line)
{
    workplace_require(of->step_count > 0, "line %d: nothing is asked yet", line);
    return &of->steps[of->step_count - 1];
}

static void add_answer(struct cache_step *step, struct cache_part part, bool is_later)
{
    workplace_require(step->answer_count < CACHE_ANSWERS_MOST && part.word_count > 0,
                      "line %d: not an answer more", part.line);
    step->answers[step->answer_count++] = part;
    step->has_later |= is_later;
}

static void add_request(struct cache_case *of, struct cache_part part)
{
    workplace_require(of->step_count < CACHE_STEPS_MOST && part.word_count > 0,
                      "line %d: not a request more", part.line);
    of->steps[of->step_count++].ask = part;
}

/* kept, not-kept, asked-again: one request twice, a GET unless another was begun. */
static void add_twice(struct cache_case *of, struct cache_part answer, const char *word)
{
    bool is_kept = strcmp(word, "kept") == 0;
    const char *said = is_kept ? "stored" : strcmp(word, "not-kept") == 0 ? "-stored" : "";
    int line = answer.line;
    struct cache_step *first, *second;

    workplace_require(answer.word_count > 0, "line %d: which status?", line);
    if (of->step_count == 0 || of->steps[of->step_count - 1].see.word_count > 0)
        add_request(of, read_part(line, text("GET")));
    first = last_step(of, line);
    add_answer(first, answer, false);
    first->see = read_part(line, text("%s 1 %s", answer.words[0], said));
    add_request(of, first->ask);
    second = last_step(of, line);
    if (!is_kept)
        add_answer(second, answer, false);
    second->see = read_part(line, text("%s %s", answer.words[0], is_kept ? "1 hit" : "2 -hit"));
}

static void read_line(struct cache_case *of, int line, char *word, char *rest)
{
    struct cache_part part = read_part(line, rest);

    if (strcmp(word, "ask") == 0) {
        add_request(of, part);
    } else if (strcmp(word, "kept") == 0 || strcmp(word, "not-kept") == 0 ||
               strcmp(word, "asked-again") == 0) {
        add_twice(of, part, word);
    } else if (strcmp(word, "origin") == 0 || strcmp(word, "later") == 0) {
        add_answer(last_step(of, line), part, word[0] == 'l');
    } else if (strcmp(word, "got") == 0) {
        struct cache_step *step = last_step(of, line);

        workplace_require(step->answer_count > 0, "line %d: the backend is not asked", line);
        step->got[step->answer_count - 1] = part;
    } else if (strcmp(word, "see") == 0) {
        workplace_require(part.word_count > 0, "line %d: which status?", line);
        last_step(of, line)->see = part;
    } else {
        workplace_fail("line %d: what is '%s'?", line, word);
    }
}

static void add_case(struct cache_table *table, int line, const char *section, const char *name)
{
    workplace_require(!cache_table_has(table, name), "line %d: '%s' once more", line, name);
    table->cases[table->count++] =
        (struct cache_case){.line = line, .section = section, .name = name};
}

static void note_line(struct cache_table *table, int line, const char **section, char *words)
{
    char *rest = words + strcspn(words, " ");

    if (strncmp(words, "== ", 3) == 0) {
        *section = words + 3;
        return;
    }
    if (*rest != '\0')
        *rest++ = '\0';
    if (strcmp(words, "case") == 0) {
        add_case(table, line, *section, cache_trim(rest));
        return;
    }
    workplace_require(table->count > 0, "line %d: of no case", line);
    read_line(&table->cases[table->count - 1], line, words, rest);
}

const struct cache_table *cache_table_read(const char *name)
{
    const char *root = getenv("SALLYPORT_SOURCE_DIR"), *section = "";
    char *path = text("%s/tests/e2e/tables/%s", root != NULL ? root : ".", name);
    char *at = workplace_read(path);
    struct cache_table *table = workplace_own(calloc(1, sizeof *table), free);
    size_t most = 1;

    workplace_require(at != NULL, "%s cannot be read (SALLYPORT_SOURCE_DIR?)", path);
    for (const char *c = strstr(at, "case "); c != NULL; c = strstr(c + 1, "case "))
        most++;
    table->cases = workplace_own(calloc(most, sizeof *table->cases), free);
    for (int line = 1; at != NULL; line++) {
        char *next = strchr(at, '\n');

        if (next != NULL)
            *next++ = '\0';
        at = cache_trim(at);
        if (*at != '\0' && *at != '#')
            note_line(table, line, &section, at);
        at = next;
    }
    return table;
}

int cache_table_count(const struct cache_table *table)
{
    return table->count;
}

bool cache_table_has(const struct cache_table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->cases[i].name, name) == 0)
            return true;
    return false;
}
