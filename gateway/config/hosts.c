#include "config/hosts.h"

#include "http/target.h"
#include "net/address.h"

static bool fail(struct reader *reader, const struct json_node *node, const char *why)
{
    reader_error(reader, node, AT_KEY, "%s", why);
    return false;
}

static struct slice lower_case(struct arena *arena, struct slice text)
{
    char *copy = arena_text(arena, text);

    for (size_t i = 0; i < text.len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + 'a' - 'A');
    return slice_make(copy, text.len);
}

/* What people write by habit, each with its way out. */
static const char *usual_mistake(struct slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.at[i] >= 0x80)
            return "a host is ASCII: write international names in their xn-- form";
    if (slice_is_empty(key))
        return "a host is missing: \"*\" stands for every one";
    if (slice_starts_with(key, slice_of("http://")) || slice_starts_with(key, slice_of("https://")))
        return "a host stands alone here, without http:// or https://";
    if (slice_find(key, '/') >= 0)
        return "a host stands alone here; paths go into its \"paths\"";
    return NULL;
}

/* A name, or an IP literal with or without brackets. */
static bool read_exact_host(struct reader *reader, const struct json_node *node, struct slice text,
                            struct slice *key)
{
    struct address address;
    uint16_t port = 0;

    if (slice_find(text, ':') >= 0 && address_parse_ip(text, 0, &address)) {
        *key = lower_case(reader->arena, text);
        return true;
    }
    if (slice_find(text, '*') >= 0)
        return fail(reader, node, "\"*\" stands alone, or for the first labels: \"*.example.com\"");
    if (!host_normalise(reader->arena, text, key, &port))
        return fail(reader, node, "this is no host name or IP address");
    if (port != 0 || text.at[text.len - 1] == ':')
        return fail(reader, node,
                    "a host has no port here: \"listen\" says where the gateway accepts");
    *key = arena_copy(reader->arena, *key);
    return true;
}

/* Below a wildcard this would be the end of an IPv4 address, which has no labels. */
static bool ends_with_digits(struct slice name)
{
    ptrdiff_t dot = slice_find_last(name, '.');
    struct slice label = slice_skip(name, (size_t)(dot + 1));
    uint64_t number;

    return slice_parse_u64(label, &number);
}

bool hosts_read_host(struct reader *reader, const struct json_node *node, struct slice *key)
{
    struct slice text = node->key, name;
    const char *mistake = usual_mistake(text);

    if (mistake)
        return fail(reader, node, mistake);
    if (slice_equal(text, slice_of("*"))) {
        *key = slice_of("*");
        return true;
    }
    if (!slice_starts_with(text, slice_of("*.")))
        return read_exact_host(reader, node, text, key);
    if (text.len == 2)
        return fail(reader, node, "the name behind \"*.\" is missing");
    if (!read_exact_host(reader, node, slice_skip(text, 2), &name))
        return false;
    if (slice_find(name, ':') >= 0 || ends_with_digits(name))
        return fail(reader, node, "a wildcard stands for names, not for IP addresses");
    *key = arena_printf(reader->arena, "*.%.*s", (int)name.len, name.at);
    return true;
}

bool hosts_read_path(struct reader *reader, const struct json_node *node, struct slice *key)
{
    bool is_exact = slice_starts_with(node->key, slice_of("="));
    struct slice text = is_exact ? slice_skip(node->key, 1) : node->key, path, query;

    if (!slice_starts_with(text, slice_of("/")))
        return fail(reader, node,
                    "a path starts with \"/\", or with \"=/\" when it is to match exactly");
    if (slice_find(text, '?') >= 0)
        return fail(reader, node, "a path has no \"?\" here: queries do not choose a route");
    if (slice_find(text, '*') >= 0)
        return fail(reader, node,
                    "a path has no \"*\" here: \"/v1/\" matches everything below it by itself");
    if (!path_normalise(reader->arena, text, &path, &query))
        return fail(reader, node,
                    "a request with this path is refused: no \".\" or \"..\" segments, controls, "
                    "\"\\\", \"#\" or bad escapes, and letters beyond ASCII are escaped");
    *key = arena_printf(reader->arena, "%s%.*s", is_exact ? "=" : "", (int)path.len, path.at);
    return true;
}
