#include "http/cache_control.h"

#include "http/structured_field.h"

struct directive {
    struct slice name, value; /* without its quotes */
    bool has_value;
    bool is_odd; /* blanks around "=", escapes, an empty name …: its value means nothing */
};

static const struct cache_control nothing_said = {
    .max_age = CACHE_SECONDS_NONE,
    .s_maxage = CACHE_SECONDS_NONE,
    .max_stale = CACHE_SECONDS_NONE,
    .min_fresh = CACHE_SECONDS_NONE,
    .stale_while_revalidate = CACHE_SECONDS_NONE,
    .stale_if_error = CACHE_SECONDS_NONE,
};

bool cache_control_read_seconds(struct slice text, int32_t *seconds)
{
    int64_t sum = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        sum = sum * 10 + (text.at[i] - '0');
        if (sum > CACHE_SECONDS_MOST)
            sum = CACHE_SECONDS_MOST;
    }
    *seconds = (int32_t)sum;
    return true;
}

/* --- one directive -------------------------------------------------------------------------- */

/* Where the quoted string that begins the text ends, behind its last quote; 0: nowhere. */
static size_t quoted_length(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.at[i] == '\\')
            i++;
        else if (text.at[i] == '"')
            return i + 1;
    }
    return 0;
}

/* What is left of a field's value. */
struct reader {
    struct slice rest;
    bool has_open_quote; /* one that never ends was met */
};

/* How far it goes to the next comma. From a quote that never ends on, quotes protect no comma: what
 * stands there is read as directives too, as a more careful cache would; and nothing is looked at
 * more than twice. */
static size_t directive_length(struct reader *reader)
{
    struct slice text = reader->rest;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == ',')
            return i;
        if (text.at[i] == '"' && !reader->has_open_quote) {
            size_t quoted = quoted_length(slice_skip(text, i));

            if (quoted > 0)
                i += quoted - 1;
            else
                reader->has_open_quote = true;
        }
    }
    return text.len;
}

static void split_directive(struct slice text, struct directive *directive)
{
    ptrdiff_t equals = slice_find(text, '=');
    struct slice value;

    *directive = (struct directive){.name = text};
    if (equals < 0)
        return;
    directive->name = slice_trim(slice_make(text.at, (size_t)equals));
    value = slice_skip(text, (size_t)equals + 1);
    directive->has_value = true;
    directive->is_odd = directive->name.len != (size_t)equals || slice_trim(value).len != value.len;
    if (value.len >= 2 && value.at[0] == '"' && quoted_length(value) == value.len) {
        value = slice_make(value.at + 1, value.len - 2);
        directive->is_odd |= slice_find(value, '\\') >= 0;
    } else {
        directive->is_odd |= slice_find(value, '"') >= 0;
    }
    directive->value = value;
}

static bool next_directive(struct reader *reader, struct directive *directive)
{
    struct slice *rest = &reader->rest;

    while (rest->len > 0) {
        size_t length = directive_length(reader);
        struct slice text = slice_trim(slice_make(rest->at, length));

        *rest = slice_skip(*rest, length < rest->len ? length + 1 : length);
        if (text.len > 0) {
            split_directive(text, directive);
            return true;
        }
    }
    return false;
}

/* --- what it means -------------------------------------------------------------------------- */

static bool is_named(struct slice name, const char *text)
{
    return slice_equal_nocase(name, slice_of(text));
}

/* Whether the value is a list of field names, with one at least. */
static bool names_fields(struct slice value)
{
    struct slice name;
    bool has_some = false;

    while (slice_next_in_list(&value, &name)) {
        if (!http_is_token(name))
            return false;
        has_some = true;
    }
    return has_some;
}

enum { FIELD_NAMES_LONGEST = 1024 }; /* of several such directives together, of bytes */

static void add_names(struct slice *names, struct slice more, struct arena *arena)
{
    *names = names->len == 0 ? more
                             : arena_printf(arena, "%.*s,%.*s", (int)names->len, names->at,
                                            (int)more.len, more.at);
}

/* private, no-cache: with field names, these; with anything else, the whole. */
static void restrict_to(const struct directive *directive, bool *whole, struct slice *names,
                        struct arena *arena)
{
    if (directive->has_value && !directive->is_odd && names_fields(directive->value) &&
        names->len + directive->value.len < FIELD_NAMES_LONGEST)
        add_names(names, directive->value, arena);
    else
        *whole = true;
}

static int32_t seconds_or(const struct directive *directive, int32_t otherwise)
{
    int32_t seconds;

    if (!directive->is_odd && cache_control_read_seconds(directive->value, &seconds))
        return seconds;
    return otherwise;
}

static void keep_least(int32_t *kept, const struct directive *directive)
{
    int32_t seconds = seconds_or(directive, 0);

    if (*kept == CACHE_SECONDS_NONE || seconds < *kept)
        *kept = seconds;
}

static void keep_most(int32_t *kept, const struct directive *directive)
{
    int32_t seconds = seconds_or(directive, CACHE_SECONDS_MOST);

    if (seconds > *kept)
        *kept = seconds;
}

/* Where a directive forbids, it does so whatever its value; where it allows, only as it is defined.
 */
static void note_response(struct cache_control *control, const struct directive *directive,
                          struct arena *arena)
{
    struct slice name = directive->name;

    if (is_named(name, "max-age"))
        keep_least(&control->max_age, directive);
    else if (is_named(name, "s-maxage"))
        keep_least(&control->s_maxage, directive);
    else if (is_named(name, "no-store"))
        control->no_store = true;
    else if (is_named(name, "no-cache"))
        restrict_to(directive, &control->no_cache, &control->no_cache_fields, arena);
    else if (is_named(name, "private"))
        restrict_to(directive, &control->is_private, &control->private_fields, arena);
    else if (is_named(name, "must-revalidate"))
        control->must_revalidate = true;
    else if (is_named(name, "proxy-revalidate"))
        control->proxy_revalidate = true;
    else if (is_named(name, "no-transform"))
        control->no_transform = true;
    else if (is_named(name, "public"))
        control->is_public |= !directive->has_value;
    else if (is_named(name, "must-understand"))
        control->must_understand |= !directive->has_value; /* it also lifts no-store */
    else if (is_named(name, "immutable"))
        control->immutable |= !directive->has_value;
    else if (is_named(name, "stale-while-revalidate"))
        keep_least(&control->stale_while_revalidate, directive);
    else if (is_named(name, "stale-if-error"))
        keep_least(&control->stale_if_error, directive);
}

static void note_request(struct cache_control *control, const struct directive *directive)
{
    struct slice name = directive->name;

    if (is_named(name, "no-cache")) {
        control->no_cache = true;
    } else if (is_named(name, "no-store")) {
        control->no_store = true;
    } else if (is_named(name, "max-age")) {
        keep_least(&control->max_age, directive);
    } else if (is_named(name, "max-stale")) {
        if (directive->has_value)
            keep_least(&control->max_stale, directive);
        else
            control->any_stale = true;
    } else if (is_named(name, "min-fresh")) {
        keep_most(&control->min_fresh, directive);
    } else if (is_named(name, "only-if-cached")) {
        control->only_if_cached = true;
    } else if (is_named(name, "no-transform")) {
        control->no_transform = true;
    } else if (is_named(name, "stale-if-error")) {
        keep_least(&control->stale_if_error, directive);
    }
}

/* --- Cache-Control -------------------------------------------------------------------------- */

void cache_control_of_request(const struct http_fields *request, struct arena *arena,
                              struct cache_control *control)
{
    const struct http_field *pragma = NULL;
    struct directive directive;

    (void)arena;
    *control = nothing_said;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct http_field *field = &request->list[i];
        struct reader reader = {.rest = field->value};

        if (!pragma && is_named(field->name, "pragma"))
            pragma = field;
        if (!is_named(field->name, "cache-control"))
            continue;
        control->is_there = true;
        while (next_directive(&reader, &directive))
            note_request(control, &directive);
    }
    if (control->max_stale != CACHE_SECONDS_NONE)
        control->any_stale = false; /* of both the one that takes less */
    if (pragma && !control->is_there) {
        struct reader reader = {.rest = pragma->value};

        while (next_directive(&reader, &directive))
            control->no_cache |= is_named(directive.name, "no-cache");
    }
}

static void read_untargeted(const struct http_fields *response, struct arena *arena,
                            struct cache_control *control)
{
    struct directive directive;

    for (uint32_t i = 0; i < response->count; i++) {
        struct reader reader = {.rest = response->list[i].value};

        if (!is_named(response->list[i].name, "cache-control"))
            continue;
        control->is_there = true;
        while (next_directive(&reader, &directive))
            note_response(control, &directive, arena);
    }
}

/* --- CDN-Cache-Control (RFC 9213) ----------------------------------------------------------- */

static const char targeted_name[] = "cdn-cache-control";

/* All of its lines are one value. */
static struct slice targeted_value(const struct http_fields *response, struct arena *arena)
{
    struct slice whole = slice_make(NULL, 0);
    bool has_some = false;

    for (uint32_t i = 0; i < response->count; i++) {
        const struct http_field *field = &response->list[i];

        if (!is_named(field->name, targeted_name))
            continue;
        whole = !has_some ? field->value
                          : arena_printf(arena, "%.*s,%.*s", (int)whole.len, whole.at,
                                         (int)field->value.len, field->value.at);
        has_some = true;
    }
    return whole;
}

/* As a directive: what has another type than the directive's values have is odd. */
static void note_member(struct cache_control *control, const struct structured_member *member,
                        struct arena *arena)
{
    struct directive directive = {.name = member->key, .has_value = true};

    switch (member->kind) {
    case STRUCTURED_TRUE: directive.has_value = false; break;
    case STRUCTURED_FALSE: return;
    case STRUCTURED_INTEGER:
        directive.value = arena_printf(arena, "%lld", (long long)member->integer);
        directive.is_odd = is_named(member->key, "private") || is_named(member->key, "no-cache");
        break;
    case STRUCTURED_TEXT:
        directive.value = member->text;
        directive.is_odd = !names_fields(member->text) || is_named(member->key, "max-age") ||
                           is_named(member->key, "s-maxage");
        break;
    case STRUCTURED_OTHER: directive.is_odd = true; break;
    }
    note_response(control, &directive, arena);
}

/* Forgets what was said under this key: the last member counts (RFC 9651 section 3.2). */
static void forget_member(struct cache_control *control, struct slice key)
{
    const struct {
        const char *name;
        bool *flag;
        int32_t *seconds;
        struct slice *names;
    } kept[] = {
        {"max-age", NULL, &control->max_age, NULL},
        {"s-maxage", NULL, &control->s_maxage, NULL},
        {"stale-while-revalidate", NULL, &control->stale_while_revalidate, NULL},
        {"stale-if-error", NULL, &control->stale_if_error, NULL},
        {"no-store", &control->no_store, NULL, NULL},
        {"no-cache", &control->no_cache, NULL, &control->no_cache_fields},
        {"private", &control->is_private, NULL, &control->private_fields},
        {"must-revalidate", &control->must_revalidate, NULL, NULL},
        {"proxy-revalidate", &control->proxy_revalidate, NULL, NULL},
        {"no-transform", &control->no_transform, NULL, NULL},
        {"public", &control->is_public, NULL, NULL},
        {"must-understand", &control->must_understand, NULL, NULL},
        {"immutable", &control->immutable, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (!is_named(key, kept[i].name))
            continue;
        if (kept[i].flag)
            *kept[i].flag = false;
        if (kept[i].seconds)
            *kept[i].seconds = CACHE_SECONDS_NONE;
        if (kept[i].names)
            *kept[i].names = slice_make(NULL, 0);
        return;
    }
}

/* False: there is none, it is empty, or no dictionary. */
static bool read_targeted(const struct http_fields *response, struct arena *arena,
                          struct cache_control *control)
{
    struct structured_reader reader = {.rest = targeted_value(response, arena)};
    struct cache_control read = nothing_said;
    struct structured_member member;

    if (reader.rest.len == 0)
        return false;
    while (structured_next_member(&reader, &member)) {
        read.is_there = true;
        forget_member(&read, member.key);
        note_member(&read, &member, arena);
    }
    if (reader.is_broken || !read.is_there)
        return false;
    read.is_targeted = true;
    *control = read;
    return true;
}

void cache_control_of_response(const struct http_fields *response, struct arena *arena,
                               struct cache_control *control)
{
    *control = nothing_said;
    if (!read_targeted(response, arena, control))
        read_untargeted(response, arena, control);
}
