/* `errors`: { "404": { "file": "gone.html" }, "5xx": { … }, "of_backends": true }. */
#include "policy/error_pages.h"

#include "config/build_sources.h"
#include "config/policy_readers.h"
#include "config/suggest.h"

struct pages_reader {
    struct error_pages *pages;
    struct error_page page; /* the one that is read */
};

/* Nothing stands in for one that cannot be read at the first time: it would show only once
 * something goes wrong. */
static void read_file(struct reader *reader, const struct json_node *node, void *into)
{
    struct pages_reader *r = into;
    struct source *source;

    if (!json_is_string(node->value) || reader_node_text(node).len == 0) {
        reader_error(reader, node, AT_VALUE, "a file such as \"sorry.html\" is expected");
        return;
    }
    source = read_source(reader, node, SOURCE_PAGE, false, &r->pages->policy);
    if (!source)
        return;
    r->page.source = source;
    r->page.type = page_type_of(source_location(source));
    if (source_is_broken(source) && !source_has_stand_in(source)) {
        struct slice why = source_complaints(source)->text;
        reader_error(reader, node, AT_VALUE, "%s: %.*s", source_location(source), (int)why.len,
                     why.at);
    }
}

static const struct rule page_list[] = {{"file", 0, read_file}};
static const struct rules page_rules = {page_list, 1, NULL};

/* "404", "5xx"; 0: none. */
static int parse_status(struct slice key)
{
    uint64_t status;

    if (slice_equal(key, slice_of("4xx")) || slice_equal(key, slice_of("5xx")))
        return key.at[0] - '0';
    if (key.len != 3 || !slice_parse_u64(key, &status) || status < 400 || status > 599)
        return 0;
    return (int)status;
}

static bool fail_key(struct reader *reader, const struct json_node *member)
{
    struct suggestion near;

    suggestion_init(&near, member->key);
    suggestion_consider(&near, slice_of("of_backends"));
    reader_error_suggest(reader, member, AT_KEY, suggestion_text(&near),
                         "unknown key \"%s\": a status from 400 to 599, \"4xx\", \"5xx\" and "
                         "\"of_backends\" can stand here",
                         member->key.at);
    return false;
}

static bool read_page(struct reader *reader, const struct json_node *member, int status,
                      struct error_pages *pages)
{
    struct pages_reader r = {.pages = pages, .page = {.status = status}};
    size_t before = reader->problems->errors;

    if (!json_is_null(member->value) && reader_object(reader, member, &page_rules, 0, &r) &&
        !json_member(member, "file"))
        reader_missing(reader, member, "file", "the page's, such as \"sorry.html\"");
    pages->list[pages->count++] = r.page;
    return reader->problems->errors == before;
}

static bool read_member(struct reader *reader, const struct json_node *member,
                        struct error_pages *pages)
{
    bool of_backends;
    int status;

    if (slice_equal(member->key, slice_of("of_backends"))) {
        if (!reader_bool(reader, member, &of_backends))
            return false;
        pages->of_backends = of_backends ? OF_BACKENDS_TOO : OF_BACKENDS_NOT;
        return true;
    }
    status = parse_status(member->key);
    return status == 0 ? fail_key(reader, member) : read_page(reader, member, status, pages);
}

struct policy *errors_read(struct reader *reader, const struct json_node *node,
                           const struct policy_place *place)
{
    struct error_pages *pages;
    bool is_good = true;
    unsigned members = 0;

    (void)place;
    if (!reader_is_object(reader, node))
        return NULL;
    for (const struct json_node *member = node->first; member; member = member->next)
        members++;
    pages = error_pages_new(members);
    for (const struct json_node *member = node->first; member; member = member->next)
        if (!member->is_repeated) /* which is a mistake already */
            is_good &= read_member(reader, member, pages);
    if (is_good)
        return &pages->policy;
    policy_unref(&pages->policy);
    return NULL;
}
