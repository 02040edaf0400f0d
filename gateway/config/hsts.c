/* `hsts`: "1y; includeSubDomains; preload". */
#include "policy/hsts.h"

#include "config/policy_readers.h"
#include "config/suggest.h"

enum { YEAR_S = 365 * 24 * 3600, YEARS_MOST = 100 };

/* "1y", "0s". */
static bool parse_age(struct slice text, uint64_t *seconds)
{
    static const struct {
        char letter;
        uint32_t seconds;
    } units[] = {{'s', 1},     {'m', 60}, {'h', 3600}, {'d', 24 * 3600}, {'w', 7 * 24 * 3600},
                 {'y', YEAR_S}};
    uint64_t count;

    if (text.len < 2 || !slice_parse_u64(slice_make(text.at, text.len - 1), &count))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == text.at[text.len - 1]) {
            *seconds = count * units[i].seconds;
            return count <= (uint64_t)YEARS_MOST * YEAR_S / units[i].seconds;
        }
    return false;
}

static bool take_word(struct slice word, const char *name, bool *is_there)
{
    if (!slice_equal_nocase(word, slice_of(name)) || *is_there)
        return false;
    return *is_there = true;
}

static void fail_word(struct reader *reader, const struct json_node *node, struct slice word)
{
    struct suggestion near;

    suggestion_init(&near, word);
    suggestion_consider(&near, slice_of("includeSubDomains"));
    suggestion_consider(&near, slice_of("preload"));
    reader_error_suggest(reader, node, AT_VALUE, suggestion_text(&near),
                         "\"%.*s\": behind the time \"includeSubDomains\" and \"preload\" can "
                         "stand, each once",
                         (int)(word.len < 64 ? word.len : 64), word.at);
}

static bool read_hsts(struct reader *reader, const struct json_node *node, struct hsts *hsts)
{
    struct slice rest, part;

    if (!reader_text(reader, node, "a text such as \"1y; includeSubDomains\"", &rest))
        return false;
    for (bool is_first = true; is_first || rest.len > 0; is_first = false) {
        ptrdiff_t end = slice_find(rest, ';');
        part = slice_trim(slice_make(rest.at, end < 0 ? rest.len : (size_t)end));
        rest = slice_skip(rest, end < 0 ? rest.len : (size_t)end + 1);
        if (is_first && !parse_age(part, &hsts->max_age_s)) {
            reader_error(reader, node, AT_VALUE,
                         "a time such as \"1y\" comes first: an integer with s, m, h, d, w or y, "
                         "at most %dy",
                         YEARS_MOST);
            return false;
        }
        if (!is_first && !take_word(part, "includeSubDomains", &hsts->has_subdomains) &&
            !take_word(part, "preload", &hsts->has_preload)) {
            fail_word(reader, node, part);
            return false;
        }
    }
    return true;
}

/* What the lists that browsers come with ask for. */
static void warn_of_preload(struct reader *reader, const struct json_node *node,
                            const struct hsts *hsts)
{
    if (!hsts->has_preload)
        return;
    if (!hsts->has_subdomains)
        reader_warning(reader, node, AT_VALUE,
                       "\"preload\" without \"includeSubDomains\": browsers' lists do not take it");
    else if (hsts->max_age_s < YEAR_S)
        reader_warning(reader, node, AT_VALUE,
                       "\"preload\" for less than \"1y\": browsers' lists do not take it");
}

struct policy *hsts_read(struct reader *reader, const struct json_node *node,
                         const struct policy_place *place)
{
    struct hsts hsts = {0};

    (void)place;
    if (!read_hsts(reader, node, &hsts))
        return NULL;
    warn_of_preload(reader, node, &hsts);
    return hsts_new(&hsts);
}
