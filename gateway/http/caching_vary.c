/* Which of the responses that are kept under one key a request gets (RFC 9111 section 4.1). */
#include "base/check.h"
#include "http/caching_internal.h"

#include <stdlib.h>

enum {
    VARY_NAMES_MOST = 32, /* more are as good as "*" */
    CODINGS_MOST = 16,    /* of Accept-Encoding; with more it is taken as it is */
};

/* --- text that grows ------------------------------------------------------------------------ */

struct text {
    char *at;
    size_t len, most;
};

static void append(struct text *text, struct slice bytes)
{
    assert(bytes.len <= text->most - text->len); /* two variants must never become one */
    if (bytes.len == 0)
        return;
    memcpy(text->at + text->len, bytes.at, bytes.len);
    text->len += bytes.len;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void append_lower(struct text *text, struct slice bytes)
{
    assert(bytes.len <= text->most - text->len);
    for (size_t i = 0; i < bytes.len; i++)
        text->at[text->len++] = lower(bytes.at[i]);
}

/* --- Vary ----------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const struct slice *first = a, *second = b;
    size_t common = first->len < second->len ? first->len : second->len;
    int order = common > 0 ? memcmp(first->at, second->at, common) : 0;

    return order != 0 ? order : (first->len > second->len) - (first->len < second->len);
}

static struct slice lower_copy(struct arena *arena, struct slice name)
{
    struct text text = {.at = arena_bytes(arena, name.len), .most = name.len};

    append_lower(&text, name);
    return slice_make(text.at, text.len);
}

/* False: "*", too many, or what names no field: who knows what was meant. */
static bool collect_names(const struct http_fields *response, struct arena *arena,
                          struct slice names[VARY_NAMES_MOST], size_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < response->count; i++) {
        struct slice rest = response->list[i].value, name;

        if (!IS_NAMED(response->list[i].name, "vary"))
            continue;
        while (slice_next_in_list(&rest, &name)) {
            if (*count == VARY_NAMES_MOST || !http_is_token(name) ||
                slice_equal(name, slice_of("*")))
                return false;
            names[(*count)++] = lower_copy(arena, name);
        }
    }
    return true;
}

bool caching_vary(const struct http_fields *response, struct arena *arena, struct slice *names)
{
    struct slice list[VARY_NAMES_MOST];
    struct text text = {0};
    size_t count;

    *names = slice_make(NULL, 0);
    if (!collect_names(response, arena, list, &count))
        return false;
    if (count == 0)
        return true;
    qsort(list, count, sizeof(list[0]), compare_names);
    for (size_t i = 0; i < count; i++)
        text.most += list[i].len + 1;
    text.at = arena_bytes(arena, text.most);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && slice_equal(list[i], list[i - 1]))
            continue;
        if (text.len > 0)
            append(&text, slice_of(","));
        append(&text, list[i]);
    }
    *names = slice_make(text.at, text.len);
    return true;
}

/* --- Accept-Encoding ------------------------------------------------------------------------ */

/* q=0, q=0.0 … of the parameters behind the first ";" */
static bool is_refused(struct slice parameters)
{
    ptrdiff_t at = slice_find(parameters, '=');
    struct slice name, value;

    if (at < 0)
        return false;
    name = slice_trim(slice_make(parameters.at, (size_t)at));
    value = slice_trim(slice_skip(parameters, (size_t)at + 1));
    if (!IS_NAMED(name, "q") || value.len == 0 || value.at[0] != '0')
        return false;
    for (size_t i = 1; i < value.len; i++)
        if (value.at[i] != '.' && value.at[i] != '0')
            return false;
    return true;
}

struct codings {
    struct slice list[CODINGS_MOST]; /* lower-case; refused ones with "!" in front */
    size_t count;
    bool is_odd;
};

static void note_coding(struct codings *codings, struct slice element, struct arena *arena)
{
    ptrdiff_t semicolon = slice_find(element, ';');
    struct slice name =
        semicolon < 0 ? element : slice_trim(slice_make(element.at, (size_t)semicolon));
    bool refused = semicolon >= 0 && is_refused(slice_skip(element, (size_t)semicolon + 1));

    if (IS_NAMED(name, "x-gzip"))
        name = slice_of("gzip");
    /* Whether it is accepted without being named makes no difference, but being refused does. */
    if (IS_NAMED(name, "identity") && !refused)
        return;
    if (!http_is_token(name) || codings->count == CODINGS_MOST) {
        codings->is_odd = true;
        return;
    }
    codings->list[codings->count++] =
        lower_copy(arena, refused ? arena_printf(arena, "!%.*s", (int)name.len, name.at) : name);
}

/* A coding that is refused is as one that is not named, unless "*" would let it in. */
static bool is_needless(const struct codings *codings, size_t i)
{
    struct slice coding = codings->list[i];

    if (i > 0 && slice_equal(coding, codings->list[i - 1]))
        return true;
    if (coding.at[0] != '!' || slice_equal(coding, slice_of("!identity")) ||
        slice_equal(coding, slice_of("!*")))
        return false;
    for (size_t j = 0; j < codings->count; j++)
        if (slice_equal(codings->list[j], slice_of("*")))
            return false;
    return true;
}

/* The set of codings that are accepted, in order; how much each is liked does not count, as every
 * one of them is right. False: it is not understood. */
static bool append_codings(struct text *text, const struct http_fields *request,
                           struct arena *arena)
{
    struct codings codings = {.count = 0};
    bool is_first = true;

    for (uint32_t i = 0; i < request->count; i++) {
        struct slice rest = request->list[i].value, element;

        if (!IS_NAMED(request->list[i].name, "accept-encoding"))
            continue;
        while (!codings.is_odd && slice_next_in_list(&rest, &element))
            note_coding(&codings, element, arena);
    }
    if (codings.is_odd)
        return false;
    if (codings.count > 0)
        qsort(codings.list, codings.count, sizeof(codings.list[0]), compare_names);
    for (size_t i = 0; i < codings.count; i++) {
        if (is_needless(&codings, i))
            continue;
        if (!is_first)
            append(text, slice_of(","));
        append(text, codings.list[i]);
        is_first = false;
    }
    return true;
}

/* --- the selecting fields ------------------------------------------------------------------- */

/* Where the element that begins the value ends: at a comma outside of quotes, or with it all. */
static size_t element_length(struct slice value)
{
    bool is_quoted = false;

    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == ',' && !is_quoted)
            return i;
        if (value.at[i] == '"')
            is_quoted = !is_quoted;
        else if (value.at[i] == '\\' && is_quoted)
            i++;
    }
    return value.len;
}

/* Blanks around commas that stand in no quotes do not count; nor does case where it is said so. */
static void append_list(struct text *text, struct slice value, bool in_lower_case)
{
    for (bool is_first = true; is_first || value.len > 0; is_first = false) {
        size_t length = element_length(value);
        struct slice element = slice_trim(slice_make(value.at, length));

        if (!is_first)
            append(text, slice_of(","));
        if (in_lower_case)
            append_lower(text, element);
        else
            append(text, element);
        value = slice_skip(value, length < value.len ? length + 1 : length);
    }
}

static bool is_list(struct slice name)
{
    return IS_NAMED(name, "accept") || IS_NAMED(name, "accept-language") ||
           IS_NAMED(name, "accept-charset") || IS_NAMED(name, "accept-encoding");
}

static void append_values(struct text *text, struct slice name, const struct http_fields *request)
{
    bool is_first = true;

    for (uint32_t i = 0; i < request->count; i++) {
        struct slice value = request->list[i].value;

        if (!slice_equal_nocase(request->list[i].name, name))
            continue;
        if (!is_first)
            append(text, slice_of(","));
        is_first = false;
        if (is_list(name))
            append_list(text, value, IS_NAMED(name, "accept-language"));
        else
            append(text, slice_trim(value));
    }
}

/* Room for every value once, and for each name. */
static size_t longest_variant(struct slice names, const struct http_fields *request)
{
    size_t bytes = names.len + 2 * VARY_NAMES_MOST + 2;

    for (uint32_t i = 0; i < request->count; i++)
        bytes += request->list[i].value.len + 2;
    return bytes + 2 * CODINGS_MOST;
}

struct slice caching_variant(struct slice names, const struct http_fields *request,
                             struct arena *arena)
{
    struct text text = {0};
    struct slice name;

    if (names.len == 0)
        return slice_make(NULL, 0);
    text.most = longest_variant(names, request);
    text.at = arena_bytes(arena, text.most);
    while (slice_next_in_list(&names, &name)) {
        size_t before;

        append(&text, name);
        if (http_fields_find(request, name)) {
            append(&text, slice_of("="));
            before = text.len;
            if (!IS_NAMED(name, "accept-encoding") || !append_codings(&text, request, arena)) {
                text.len = before;
                append_values(&text, name, request);
            }
        }
        append(&text, slice_of("\n")); /* in no value */
    }
    return slice_make(text.at, text.len);
}
