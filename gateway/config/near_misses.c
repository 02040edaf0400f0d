#include "config/near_misses.h"

#define NAMED(slice) (int)(slice).len, (slice).at

enum {
    DISTANCE_BARE = 1, /* *.host, of a host that is asked for itself */
    DISTANCE_TWIN,     /* with or without "www." */
    DISTANCE_EDIT,     /* one character differs */
    DISTANCE_WILDCARD, /* and one more with every label less */
    DISTANCE_ANY = 1000,
};

/* --- the list -----------------------------------------------------------------------------------
 */

static bool is_nearer(size_t distance, struct slice name, const struct near_miss *miss)
{
    size_t shorter = name.len < miss->name.len ? name.len : miss->name.len;
    int order = memcmp(name.at, miss->name.at, shorter);

    if (distance != miss->distance)
        return distance < miss->distance;
    return order != 0 ? order < 0 : name.len < miss->name.len;
}

/* A place for it, whose reason is to be filled in; NULL: it is there, or too far away. */
static struct near_miss *make_place(struct near_misses *misses, struct slice name, size_t distance)
{
    unsigned at = misses->count;

    for (unsigned i = 0; i < misses->count; i++)
        if (slice_equal(misses->list[i].name, name))
            return NULL;
    while (at > 0 && is_nearer(distance, name, &misses->list[at - 1]))
        at--;
    if (at == NEAR_MISSES_MAX)
        return NULL;
    if (misses->count < NEAR_MISSES_MAX)
        misses->count++;
    for (unsigned i = misses->count - 1; i > at; i--)
        misses->list[i] = misses->list[i - 1];
    misses->list[at] = (struct near_miss){.name = name, .distance = distance};
    return &misses->list[at];
}

static void add(struct near_misses *misses, struct slice name, size_t distance, const char *why)
{
    struct near_miss *miss = make_place(misses, name, distance);

    if (miss)
        miss->why = slice_of(why);
}

/* --- spelling -----------------------------------------------------------------------------------
 */

/* One character more, less or other, or two neighbours swapped. */
static bool is_one_edit_away(struct slice a, struct slice b)
{
    size_t longest = a.len > b.len ? a.len : b.len, start = 0, end = 0;

    if (longest - a.len > 1 || longest - b.len > 1)
        return false;
    while (start < a.len && start < b.len && a.at[start] == b.at[start])
        start++;
    while (end < a.len - start && end < b.len - start &&
           a.at[a.len - 1 - end] == b.at[b.len - 1 - end])
        end++;
    size_t left_a = a.len - start - end, left_b = b.len - start - end;
    if (left_a == 2 && left_b == 2)
        return a.at[start] == b.at[start + 1] && a.at[start + 1] == b.at[start];
    return left_a <= 1 && left_b <= 1 && left_a + left_b > 0;
}

static size_t count_labels(struct slice name)
{
    size_t labels = 1;

    for (size_t i = 0; i < name.len; i++)
        labels += name.at[i] == '.';
    return labels;
}

static struct slice parent_of(struct slice name)
{
    ptrdiff_t dot = slice_find(name, '.');

    return dot < 0 ? slice_of("") : slice_skip(name, (size_t)dot + 1);
}

/* The last labels of a name, as many as `like` has, if more come before them. */
static struct slice end_like(struct slice name, struct slice like)
{
    size_t wanted = count_labels(like);

    if (count_labels(name) <= wanted)
        return slice_of("");
    while (count_labels(name) > wanted)
        name = parent_of(name);
    return name;
}

static bool is_wildcard(struct slice name)
{
    return slice_starts_with(name, slice_of("*."));
}

/* Whether the key, or the end that a wildcard asks for, is misspelt. */
static bool is_misspelt(struct slice name, struct slice key)
{
    if (!is_wildcard(key))
        return is_one_edit_away(name, key);
    struct slice end = end_like(name, slice_skip(key, 2));
    return end.len > 0 && is_one_edit_away(end, slice_skip(key, 2));
}

/* --- hosts --------------------------------------------------------------------------------------
 */

struct host_search {
    const struct route_table *routes;
    struct slice host, matched;
    struct arena *arena;
    struct near_misses *misses;
};

static struct near_miss *consider_host(struct host_search *search, struct slice key,
                                       size_t distance)
{
    const struct host *host = route_table_host(search->routes, key);

    if (!host || slice_equal(key, search->matched))
        return NULL;
    return make_place(search->misses, host->key, distance);
}

static void find_wildcards(struct host_search *search)
{
    struct arena *arena = search->arena;
    size_t distance = DISTANCE_WILDCARD;

    for (struct slice end = parent_of(search->host); end.len > 0; end = parent_of(end)) {
        struct near_miss *miss =
            consider_host(search, arena_printf(arena, "*.%.*s", NAMED(end)), distance++);
        if (miss && is_wildcard(search->matched))
            miss->why =
                arena_printf(arena, "shorter than %.*s, which matches", NAMED(search->matched));
        else if (miss)
            miss->why = slice_of("a host that is written out comes before a wildcard");
    }
}

static void find_twins(struct host_search *search)
{
    struct slice host = search->host, www = slice_of("www.");
    struct near_miss *miss =
        consider_host(search, arena_printf(search->arena, "*.%.*s", NAMED(host)), DISTANCE_BARE);
    bool has_www = slice_starts_with(host, www);

    if (miss)
        miss->why = arena_printf(search->arena, "matches names below %.*s, not %.*s itself",
                                 NAMED(host), NAMED(host));
    miss = consider_host(search,
                         has_www ? slice_skip(host, www.len)
                                 : arena_printf(search->arena, "www.%.*s", NAMED(host)),
                         DISTANCE_TWIN);
    if (miss)
        miss->why = slice_of(has_www ? "the same without \"www.\" is another host"
                                     : "the same with \"www.\" is another host");
}

static void find_misspelt(struct host_search *search)
{
    const struct host *host;
    size_t position = 0;

    while ((host = route_table_next(search->routes, &position)) != NULL) {
        if (host->key.len == 1 || slice_equal(host->key, search->matched) ||
            !is_misspelt(search->host, host->key))
            continue; /* "*" is no name */
        struct near_miss *miss = make_place(search->misses, host->key, DISTANCE_EDIT);
        if (miss)
            miss->why = arena_printf(search->arena, "one character is not that of %.*s",
                                     NAMED(search->host));
    }
}

void near_misses_hosts(const struct route_table *routes, struct slice host, struct slice matched,
                       struct arena *arena, struct near_misses *misses)
{
    struct host_search search = {
        .routes = routes, .host = host, .matched = matched, .arena = arena, .misses = misses};
    struct near_miss *miss;

    if (host.len > 0) {
        find_wildcards(&search);
        find_twins(&search);
    }
    /* Whoever is written out as asked is no slip of the pen. */
    if (host.len > 0 && !slice_equal(host, matched))
        find_misspelt(&search);
    miss = consider_host(&search, slice_of("*"), DISTANCE_ANY);
    if (miss)
        miss->why = slice_of("stands for hosts that no other entry matches");
}

/* --- paths --------------------------------------------------------------------------------------
 */

struct path_search {
    struct slice path;
    struct slice unescaped; /* with every %2f as the slash that it is not */
    struct slice matched;   /* path key; empty: none */
    struct arena *arena;
    struct near_misses *misses;
};

static struct slice unescape_slashes(struct arena *arena, struct slice path)
{
    char *text = arena_bytes(arena, path.len ? path.len : 1);
    size_t length = 0;

    for (size_t i = 0; i < path.len; i++) {
        bool is_slash = i + 2 < path.len && path.at[i] == '%' && path.at[i + 1] == '2' &&
                        (path.at[i + 2] | 0x20) == 'f';
        text[length++] = is_slash ? '/' : path.at[i];
        i += is_slash ? 2 : 0;
    }
    return slice_make(text, length);
}

static bool starts_with_nocase(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal_nocase(slice_make(text.at, prefix.len), prefix);
}

/* As host_find holds a key against a path, here regardless of case. */
static bool matches_nocase(bool is_exact, struct slice key, struct slice path)
{
    if (is_exact || key.len == path.len)
        return slice_equal_nocase(key, path);
    return starts_with_nocase(path, key) && (key.at[key.len - 1] == '/' || path.at[key.len] == '/');
}

static bool matches(bool is_exact, struct slice key, struct slice path)
{
    return matches_nocase(is_exact, key, path) && slice_starts_with(path, key);
}

static size_t shared_length(struct slice a, struct slice b)
{
    size_t n = 0;

    while (n < a.len && n < b.len &&
           slice_equal_nocase(slice_make(a.at + n, 1), slice_make(b.at + n, 1)))
        n++;
    return n;
}

static struct slice why_lost(struct path_search *search)
{
    struct slice matched = search->matched;
    bool is_exact = matched.len > 0 && matched.at[0] == '=';

    return arena_printf(search->arena,
                        is_exact ? "%.*s matches exactly, and that comes first"
                                 : "shorter than %.*s, which matches",
                        NAMED(matched));
}

/* An exact key that the path begins like. */
static const char *why_not_exact(struct slice key, struct slice path)
{
    bool is_slash_more = path.len == key.len + 1 && slice_starts_with(path, key);
    bool is_slash_less = key.len == path.len + 1 && slice_starts_with(key, path);

    if (is_slash_more && path.at[key.len] == '/')
        return "it is exact, and the request has a \"/\" more at its end";
    if (is_slash_less && key.at[path.len] == '/')
        return "it is exact, and the request lacks the \"/\" at its end";
    if (slice_starts_with(path, key) && (key.at[key.len - 1] == '/' || path.at[key.len] == '/'))
        return "it is exact: nothing below it matches";
    return NULL;
}

static struct slice why_not_prefix(struct path_search *search, struct slice key)
{
    struct slice path = search->path;
    bool has_slash = key.at[key.len - 1] == '/';

    if (has_slash && path.len + 1 == key.len && slice_starts_with(key, path))
        return arena_printf(search->arena, "matches only what is below %.*s, not %.*s itself",
                            NAMED(key), NAMED(path));
    if (!has_slash && path.len > key.len && slice_starts_with(path, key)) {
        size_t end = key.len;
        while (end < path.len && path.at[end] != '/')
            end++;
        return arena_printf(search->arena, "matches %.*s and %.*s/..., not %.*s", NAMED(key),
                            NAMED(key), (int)end, path.at);
    }
    return slice_of("");
}

static struct slice why_not(struct path_search *search, bool is_exact, struct slice key)
{
    struct slice path = search->path, why = slice_of("");
    size_t shared = shared_length(path, key);

    if (matches(is_exact, key, path))
        return why_lost(search);
    if (is_exact && why_not_exact(key, path))
        why = slice_of(why_not_exact(key, path));
    else if (!is_exact)
        why = why_not_prefix(search, key);
    if (why.len > 0)
        return why;
    if (matches_nocase(is_exact, key, path))
        return slice_of("its case differs, and case counts in paths");
    if (matches(is_exact, key, search->unescaped))
        return slice_of("an escaped slash (%2f) is no slash: it never separates");
    if (slice_starts_with(key, path))
        return slice_of("it goes on where the request's path ends");
    if (is_one_edit_away(key, path))
        return slice_of("one character differs");
    return arena_printf(search->arena, "they differ behind \"%.*s\"", (int)shared, path.at);
}

static void consider_path(struct path_search *search, bool is_exact, struct slice key,
                          struct slice name)
{
    size_t shared = shared_length(search->path, key);
    size_t longest = key.len > search->path.len ? key.len : search->path.len;
    bool is_near = 2 * shared > key.len && shared > 1;
    struct near_miss *miss;

    if (slice_equal(name, search->matched))
        return;
    /* Where nothing matched, whatever there is helps. */
    if (search->matched.len > 0 && !is_near && !is_one_edit_away(key, search->path) &&
        !matches(is_exact, key, search->path) && !matches(is_exact, key, search->unescaped))
        return;
    miss = make_place(search->misses, name, longest - shared);
    if (miss)
        miss->why = why_not(search, is_exact, key);
}

/* What a route's name has behind its host: as its key is written, "=" included. */
static struct slice path_key(const struct host *host, const struct route *route)
{
    return slice_skip(route->name, host->key.len);
}

void near_misses_paths(const struct host *host, struct slice path, const struct route *matched,
                       struct arena *arena, struct near_misses *misses)
{
    struct path_search search = {.path = path,
                                 .unescaped = unescape_slashes(arena, path),
                                 .matched = matched ? path_key(host, matched) : slice_of(""),
                                 .arena = arena,
                                 .misses = misses};
    const struct table_entry *entry;

    for (size_t at = 0; (entry = table_next(&host->exact, &at)) != NULL;)
        consider_path(&search, true, entry->key, path_key(host, entry->value));
    for (size_t at = 0; (entry = table_next(&host->prefixes, &at)) != NULL;)
        consider_path(&search, false, entry->key, path_key(host, entry->value));
}

/* --- names of certificates ----------------------------------------------------------------------
 */

static void consider_name(struct near_misses *misses, struct slice name, struct slice san)
{
    struct slice www = slice_of("www."), end = is_wildcard(san) ? slice_skip(san, 2) : san;

    if (is_wildcard(san) && slice_equal(name, end))
        add(misses, san, DISTANCE_BARE, "a wildcard does not cover the bare domain");
    else if (is_wildcard(san) && slice_equal(end_like(parent_of(name), end), end))
        add(misses, san, DISTANCE_BARE, "a certificate's wildcard stands for one label alone");
    else if (slice_starts_with(name, www) && slice_equal(slice_skip(name, www.len), san))
        add(misses, san, DISTANCE_TWIN, "it lacks the \"www.\"");
    else if (slice_starts_with(san, www) && slice_equal(slice_skip(san, www.len), name))
        add(misses, san, DISTANCE_TWIN, "it has a \"www.\"");
    else if (is_misspelt(name, san))
        add(misses, san, DISTANCE_EDIT, "one character differs");
}

void near_misses_names(const struct cert_store *store, struct slice name,
                       struct near_misses *misses)
{
    for (size_t i = 0; i < cert_store_count(store); i++) {
        const struct slice *names;
        int count = certificate_names(cert_store_at(store, i), &names);

        for (int k = 0; k < count; k++)
            consider_name(misses, name, names[k]);
    }
}
