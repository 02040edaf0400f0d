/* `compress`: a list of codings, or an object that says more. */
#include "policy/compress.h"
#include "config/policy_readers.h"

#include <ctype.h>

enum { MIN_SIZE_MOST = 1 << 30, TYPES_MOST = 64, TYPE_LONGEST = 128 };

/* In the order of enum coding, from the first that is one. */
static const char *const names[] = {"gzip", "br", "zstd"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

/* Where a reader puts what it finds; false once there was a problem. */
struct compress_reader {
    struct compress_policy *policy;
    bool is_good;
};

/* --- codings ------------------------------------------------------------------------------------
 */

static bool add_coding(struct reader *reader, const struct json_node *node,
                       struct compress_policy *policy)
{
    unsigned word;

    if (!reader_word(reader, node, names, NAMES, &word))
        return false;
    for (unsigned i = 0; i < policy->coding_count; i++)
        if (policy->codings[i] == CODING_GZIP + word) {
            reader_error(reader, node, AT_VALUE, "this is in the list already");
            return false;
        }
    policy->codings[policy->coding_count++] = CODING_GZIP + word;
    return true;
}

static bool read_codings(struct reader *reader, const struct json_node *node,
                         struct compress_policy *policy)
{
    bool is_good = true;

    policy->coding_count = 0;
    policy->says_codings = true;
    for (const struct json_node *element = node->first; element; element = element->next)
        is_good &= add_coding(reader, element, policy);
    if (!node->first) {
        reader_error(reader, node, AT_VALUE,
                     "a list without codings compresses nothing; `null` turns it off");
        return false;
    }
    return is_good;
}

static void read_codings_key(struct reader *reader, const struct json_node *node, void *into)
{
    struct compress_reader *c = into;

    c->is_good &= reader_is_list(reader, node, "a list such as [\"zstd\", \"br\", \"gzip\"]") &&
                  read_codings(reader, node, c->policy);
}

/* --- min_size, types, level ---------------------------------------------------------------------
 */

static void read_min_size(struct reader *reader, const struct json_node *node, void *into)
{
    struct compress_reader *c = into;

    c->policy->says_min_size = true;
    c->is_good &= reader_size(reader, node, MIN_SIZE_MOST, &c->policy->min_size);
}

static bool read_type(struct reader *reader, const struct json_node *node, struct arena *arena,
                      struct slice *type)
{
    struct slice text = reader_node_text(node);
    char *copy = arena_text(arena, text);

    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]);
    *type = slice_make(copy, text.len);
    if (text.len <= TYPE_LONGEST && compress_is_type(*type))
        return true;
    reader_error(reader, node, AT_VALUE,
                 "a media type is expected, such as \"text/html\", \"text/*\" or "
                 "\"application/*+json\"");
    return false;
}

static void read_types(struct reader *reader, const struct json_node *node, void *into)
{
    struct compress_reader *c = into;
    struct arena *arena = &c->policy->policy.arena;
    struct slice *types = arena_alloc(arena, TYPES_MOST * sizeof(*types));
    unsigned count = 0;

    c->policy->says_types = true;
    if (!reader_is_list(reader, node, "a list of media types such as [\"text/*\"]")) {
        c->is_good = false;
        return;
    }
    for (const struct json_node *element = node->first; element; element = element->next) {
        if (count == TYPES_MOST) {
            reader_error(reader, element, AT_VALUE, "%d types at most", TYPES_MOST);
            c->is_good = false;
            return;
        }
        c->is_good &= read_type(reader, element, arena, &types[count++]);
    }
    if (count == 0) {
        reader_error(reader, node, AT_VALUE,
                     "a list without types compresses nothing; `null` turns it off");
        c->is_good = false;
    }
    c->policy->types = types;
    c->policy->type_count = count;
}

static void read_level(struct reader *reader, const struct json_node *node, void *into,
                       enum coding coding)
{
    struct compress_reader *c = into;
    uint64_t level = 1;

    c->is_good &= reader_count(reader, node, 1, coding_levels(coding).most, &level);
    c->policy->levels[coding] = (uint8_t)level;
    c->policy->says_level[coding] = true;
}

static void read_gzip_level(struct reader *reader, const struct json_node *node, void *into)
{
    read_level(reader, node, into, CODING_GZIP);
}

static void read_br_level(struct reader *reader, const struct json_node *node, void *into)
{
    read_level(reader, node, into, CODING_BR);
}

static void read_zstd_level(struct reader *reader, const struct json_node *node, void *into)
{
    read_level(reader, node, into, CODING_ZSTD);
}

static void read_levels(struct reader *reader, const struct json_node *node, void *into)
{
    static const struct rule list[] = {
        {"gzip", 0, read_gzip_level}, {"br", 0, read_br_level}, {"zstd", 0, read_zstd_level}};
    static const struct rules rules = {list, sizeof(list) / sizeof(list[0]), NULL};

    ((struct compress_reader *)into)->is_good &= reader_object(reader, node, &rules, 0, into);
}

/* --- all of it ----------------------------------------------------------------------------------
 */

static bool read_object(struct reader *reader, const struct json_node *node,
                        struct compress_policy *policy)
{
    static const struct rule list[] = {{"codings", 0, read_codings_key},
                                       {"min_size", 0, read_min_size},
                                       {"types", 0, read_types},
                                       {"level", 0, read_levels}};
    static const struct rules rules = {list, sizeof(list) / sizeof(list[0]), NULL};
    struct compress_reader c = {.policy = policy, .is_good = true};

    if (!json_is_object(node->value)) {
        reader_error(reader, node, AT_VALUE,
                     "a list such as [\"zstd\", \"br\", \"gzip\"] or an object is expected");
        return false;
    }
    return reader_object(reader, node, &rules, 0, &c) && c.is_good;
}

struct policy *compress_read(struct reader *reader, const struct json_node *node,
                             const struct policy_place *place)
{
    struct compress_policy *policy = compress_new();
    bool is_good;

    (void)place;
    policy->is_whole = json_is_array(node->value);
    is_good =
        policy->is_whole ? read_codings(reader, node, policy) : read_object(reader, node, policy);
    if (is_good)
        return &policy->policy;
    policy_unref(&policy->policy);
    return NULL;
}
