#include "config/affinity.h"

#include "config/suggest.h"
#include "http/message.h"

/* With a ":" at its end a name follows. */
static const struct {
    const char *word, *named;
    enum affinity_kind kind;
    enum affinity_use least;
} words[] = {
    {"ip", NULL, AFFINITY_IP, AFFINITY_OF_SPLITS},
    {"cookie:", "a cookie", AFFINITY_COOKIE, AFFINITY_OF_SPLITS},
    {"header:", "a header", AFFINITY_HEADER, AFFINITY_OF_HASHES},
    {"uri", NULL, AFFINITY_URI, AFFINITY_OF_HASHES},
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

static const char *const expected[] = {
    [AFFINITY_OF_SPLITS] = "\"ip\" or \"cookie:NAME\"",
    [AFFINITY_OF_HASHES] = "\"ip\", \"cookie:NAME\", \"header:NAME\" or \"uri\"",
};

/* Up to its ":", which stays; whole without one. */
static struct slice word_of(struct slice text)
{
    ptrdiff_t colon = slice_find(text, ':');

    return colon >= 0 ? slice_make(text.at, (size_t)colon + 1) : text;
}

static bool fail_word(struct reader *reader, const struct json_node *node, enum affinity_use use,
                      struct slice text)
{
    struct suggestion near;

    suggestion_init(&near, word_of(text));
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].least <= use)
            suggestion_consider(&near, slice_of(words[i].word));
    reader_error_suggest(reader, node, AT_VALUE, suggestion_text(&near),
                         "%s is expected, not \"%s\"", expected[use], text.at);
    return false;
}

/* Fields' names are compared as requests bring them: in lower case. */
static struct slice read_name(struct arena *arena, enum affinity_kind kind, struct slice name)
{
    char *copy = arena_text(arena, name);

    for (size_t i = 0; kind == AFFINITY_HEADER && i < name.len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + 'a' - 'A');
    return slice_make(copy, name.len);
}

bool affinity_read(struct reader *reader, const struct json_node *node, enum affinity_use use,
                   struct affinity *affinity)
{
    struct slice text, name;

    if (!reader_text(reader, node, expected[use], &text))
        return false;
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].least > use || !slice_equal(word_of(text), slice_of(words[i].word)))
            continue;
        name = slice_skip(text, strlen(words[i].word));
        if (words[i].named && !http_is_token(name)) {
            reader_error(reader, node, AT_VALUE, "\"%s\" is no name of %s", name.at,
                         words[i].named);
            return false;
        }
        affinity->kind = words[i].kind;
        affinity->name = read_name(reader->arena, affinity->kind, name);
        return true;
    }
    return fail_word(reader, node, use, text);
}

struct slice affinity_words(struct arena *arena, const struct affinity *affinity)
{
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].kind == affinity->kind)
            return arena_printf(arena, "%s%.*s", words[i].word, (int)affinity->name.len,
                                affinity->name.at);
    return slice_of("off");
}
