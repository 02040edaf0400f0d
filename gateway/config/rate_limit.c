/* `rate_limit`: "50/s per ip burst 100", an object of the same, or a list of those. */
#include "policy/rate_limit.h"
#include "base/check.h"
#include "config/policy_readers.h"
#include "config/suggest.h"

enum { NUMBER_MOST = 1000 * 1000 * 1000 };

#define RATE_EXPECTED  "a rate such as \"50/s\" (s, m, h or d)"
#define KEY_EXPECTED   "\"ip\", \"header:NAME\", \"cookie:NAME\", \"client_cert\" or \"route\""
#define LIMIT_EXPECTED "\"50/s per ip burst 100\", or an object or a list of those"

/* What rules read into. */
struct limit_reader {
    struct rate_spec spec;
    const struct json_node *burst;
    bool is_wrong;
};

/* --- parts --------------------------------------------------------------------------------------
 */

static bool read_rate_text(struct reader *reader, const struct json_node *node, struct slice text,
                           struct rate_spec *spec)
{
    ptrdiff_t slash = slice_find(text, '/');
    struct slice number = slash > 0 ? slice_make(text.at, (size_t)slash) : text;

    if (slash <= 0 || (size_t)slash + 2 != text.len || !slice_parse_u64(number, &spec->number) ||
        rate_unit_ns(text.at[slash + 1]) == 0) {
        reader_error(reader, node, AT_VALUE, "%s is expected, not \"%.*s\"", RATE_EXPECTED,
                     (int)text.len, text.at);
        return false;
    }
    spec->unit = text.at[slash + 1];
    if (spec->number == 0) {
        reader_error(reader, node, AT_VALUE,
                     "a rate is 1 at least; to turn the limit off write `null`");
        return false;
    }
    if (spec->number > NUMBER_MOST ||
        spec->number > rate_unit_ns(spec->unit) / (rate_unit_ns('s') / RATE_MOST_A_SECOND)) {
        reader_error(reader, node, AT_VALUE, "a rate is %d a second at most", RATE_MOST_A_SECOND);
        return false;
    }
    spec->given |= RATE_GIVEN_RATE;
    return true;
}

/* With a ":" at its end a name follows. */
static const struct {
    const char *word, *named;
    enum rate_key key;
} keys[] = {
    {"ip", NULL, RATE_BY_IP},
    {"header:", "a header", RATE_BY_HEADER},
    {"cookie:", "a cookie", RATE_BY_COOKIE},
    {"client_cert", NULL, RATE_BY_CERT},
    {"route", NULL, RATE_BY_ROUTE},
};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static struct slice word_of(struct slice text)
{
    ptrdiff_t colon = slice_find(text, ':');

    return colon >= 0 ? slice_make(text.at, (size_t)colon + 1) : text;
}

static bool fail_key(struct reader *reader, const struct json_node *node, struct slice text)
{
    struct suggestion near;

    suggestion_init(&near, word_of(text));
    for (size_t i = 0; i < KEYS; i++)
        suggestion_consider(&near, slice_of(keys[i].word));
    reader_error_suggest(reader, node, AT_VALUE, suggestion_text(&near),
                         KEY_EXPECTED " is expected, not \"%.*s\"", (int)text.len, text.at);
    return false;
}

static bool read_key_text(struct reader *reader, const struct json_node *node, struct slice text,
                          struct rate_spec *spec)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (!slice_equal(word_of(text), slice_of(keys[i].word)))
            continue;
        spec->key = keys[i].key;
        spec->name = slice_skip(text, strlen(keys[i].word));
        spec->given |= RATE_GIVEN_KEY;
        if (!keys[i].named || http_is_token(spec->name))
            return true;
        reader_error(reader, node, AT_VALUE, "\"%.*s\" is no name of %s", (int)spec->name.len,
                     spec->name.at, keys[i].named);
        return false;
    }
    return fail_key(reader, node, text);
}

static bool check_burst(struct reader *reader, const struct json_node *node,
                        const struct rate_spec *spec)
{
    if (rate_burst_fits(spec))
        return true;
    reader_error(reader, node, AT_VALUE,
                 "with this rate a burst of %llu would not be over for more than %d days",
                 (unsigned long long)spec->burst, RATE_BURST_DAYS);
    return false;
}

/* --- "50/s per ip burst 100" --------------------------------------------------------------------
 */

static bool next_word(struct slice *text, struct slice *word)
{
    ptrdiff_t blank;

    *text = slice_trim(*text);
    blank = slice_find(*text, ' ');
    *word = slice_make(text->at, blank >= 0 ? (size_t)blank : text->len);
    *text = slice_skip(*text, word->len);
    return word->len > 0;
}

static bool fail_word(struct reader *reader, const struct json_node *node, struct slice word)
{
    struct suggestion near;

    suggestion_init(&near, word);
    suggestion_consider(&near, slice_of("per"));
    suggestion_consider(&near, slice_of("burst"));
    reader_error_suggest(reader, node, AT_VALUE, suggestion_text(&near),
                         "a limit is written \"50/s per ip burst 100\", without \"%.*s\"",
                         (int)word.len, word.at);
    return false;
}

static bool read_part(struct reader *reader, const struct json_node *node, struct slice word,
                      struct slice value, struct rate_spec *spec)
{
    if (slice_equal(word, slice_of("per")) && !(spec->given & RATE_GIVEN_KEY))
        return read_key_text(reader, node, value, spec);
    if (!slice_equal(word, slice_of("burst")) || spec->given & RATE_GIVEN_BURST)
        return fail_word(reader, node, word);
    if (!slice_parse_u64(value, &spec->burst) || spec->burst == 0 || spec->burst > NUMBER_MOST) {
        reader_error(reader, node, AT_VALUE, "a number from 1 to %d is expected behind \"burst\"",
                     NUMBER_MOST);
        return false;
    }
    spec->given |= RATE_GIVEN_BURST;
    return true;
}

static bool read_limit_text(struct reader *reader, const struct json_node *node,
                            struct rate_spec *spec)
{
    struct slice text, word, value;

    if (!reader_text(reader, node, LIMIT_EXPECTED, &text))
        return false;
    next_word(&text, &word);
    if (!read_rate_text(reader, node, word, spec))
        return false;
    while (next_word(&text, &word)) {
        next_word(&text, &value);
        if (!read_part(reader, node, word, value, spec))
            return false;
    }
    return check_burst(reader, node, spec);
}

/* --- { "rate": "50/s", … } ----------------------------------------------------------------------
 */

static const struct json_node *root_of(const struct json_node *node)
{
    while (node->parent)
        node = node->parent;
    return node;
}

static void read_rate(struct reader *reader, const struct json_node *node, void *into)
{
    struct limit_reader *limit = into;
    struct slice text;

    limit->is_wrong |= !reader_text(reader, node, RATE_EXPECTED, &text) ||
                       !read_rate_text(reader, node, text, &limit->spec);
}

static void read_burst(struct reader *reader, const struct json_node *node, void *into)
{
    struct limit_reader *limit = into;

    limit->burst = node;
    limit->spec.given |= RATE_GIVEN_BURST;
    limit->is_wrong |= !reader_count(reader, node, 1, NUMBER_MOST, &limit->spec.burst);
}

static void read_key(struct reader *reader, const struct json_node *node, void *into)
{
    struct limit_reader *limit = into;
    struct slice text;

    limit->is_wrong |= !reader_text(reader, node, KEY_EXPECTED, &text) ||
                       !read_key_text(reader, node, text, &limit->spec);
}

static void read_scope(struct reader *reader, const struct json_node *node, void *into)
{
    static const char *const scopes[] = {"process", "redis"};
    struct limit_reader *limit = into;
    unsigned index = 0;

    limit->is_wrong |= !reader_word(reader, node, scopes, 2, &index);
    limit->spec.scope = index == 0 ? RATE_SCOPE_PROCESS : RATE_SCOPE_REDIS;
    limit->spec.given |= RATE_GIVEN_SCOPE;
    if (limit->spec.scope == RATE_SCOPE_REDIS && !json_member(root_of(node), "redis")) {
        reader_error(reader, node, AT_VALUE,
                     "which Redis? Name its servers at the top of the file: \"redis\": { "
                     "\"servers\": [\"10.0.3.5:6379\"] }");
        limit->is_wrong = true;
    }
}

static void read_enforce(struct reader *reader, const struct json_node *node, void *into)
{
    struct limit_reader *limit = into;

    limit->is_wrong |= !reader_bool(reader, node, &limit->spec.is_enforced);
    limit->spec.given |= RATE_GIVEN_ENFORCE;
}

static const struct rule limit_list[] = {
    {"rate", 0, read_rate},   {"burst", 0, read_burst},     {"key", 0, read_key},
    {"scope", 0, read_scope}, {"enforce", 0, read_enforce},
};
static const struct rules limit_rules = {limit_list, sizeof(limit_list) / sizeof(limit_list[0]),
                                         NULL};

/* Whether what a farther place says of limits has a rate; NULL: it says nothing. */
static bool gives_rate(const struct json_node *place, bool *is_settled)
{
    const struct json_node *limit = place ? json_member(place, "rate_limit") : NULL;

    *is_settled = limit && (!json_is_object(limit->value) || json_member(limit, "rate"));
    return limit && (json_is_string(limit->value) || json_member(limit, "rate"));
}

/* Whether it can leave the rate to a place behind it: of a path its host, of any `defaults`. */
static bool inherits_rate(const struct json_node *node, unsigned here)
{
    const struct json_node *place = node->parent;
    bool is_settled = false, has_rate = false;

    if (here == IN_PATH)
        has_rate = gives_rate(place->parent->parent, &is_settled);
    if (here != IN_DEFAULTS && !is_settled)
        has_rate = gives_rate(json_member(root_of(node), "defaults"), &is_settled);
    return has_rate;
}

static bool read_limit_object(struct reader *reader, const struct json_node *node, bool may_inherit,
                              struct rate_spec *spec)
{
    struct limit_reader limit = {.spec = *spec};
    size_t errors = reader->problems->errors;

    if (!reader_object(reader, node, &limit_rules, 0, &limit) || limit.is_wrong ||
        reader->problems->errors > errors) {
        return false;
    }
    *spec = limit.spec;
    if (!(spec->given & RATE_GIVEN_RATE)) {
        if (!may_inherit)
            reader_missing(reader, node, "rate", RATE_EXPECTED);
        return may_inherit;
    }
    return !limit.burst || check_burst(reader, limit.burst, spec);
}

static bool read_limit(struct reader *reader, const struct json_node *node, bool may_inherit,
                       struct rate_spec *spec)
{
    *spec = (struct rate_spec){.unit = 's', .is_enforced = true};
    if (json_is_object(node->value))
        return read_limit_object(reader, node, may_inherit, spec);
    return read_limit_text(reader, node, spec);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static struct policy *read_list(struct reader *reader, const struct json_node *node,
                                const struct policy_place *place)
{
    struct rate_spec specs[RATE_CHARGES_MOST];
    unsigned count = 0;
    bool is_good = node->first != NULL;

    if (!is_good)
        reader_error(reader, node, AT_VALUE, "the list is empty; to turn limits off write `null`");
    for (const struct json_node *element = node->first; element; element = element->next) {
        if (count == RATE_CHARGES_MOST) {
            reader_error(reader, element, AT_VALUE, "%d limits at most", RATE_CHARGES_MOST);
            return NULL;
        }
        is_good &= read_limit(reader, element, false, &specs[count++]);
    }
    return is_good ? rate_limit_new(specs, count, RATE_AS_LIST, place->name) : NULL;
}

struct policy *rate_limit_read(struct reader *reader, const struct json_node *node,
                               const struct policy_place *place)
{
    struct rate_spec spec;

    if (json_is_array(node->value))
        return read_list(reader, node, place);
    if (!read_limit(reader, node, inherits_rate(node, place->here), &spec))
        return NULL;
    return rate_limit_new(&spec, 1, json_is_object(node->value) ? RATE_AS_OBJECT : RATE_AS_TEXT,
                          place->name);
}
