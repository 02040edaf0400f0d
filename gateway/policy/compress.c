#include "policy/compress.h"

#include "base/check.h"
#include "policy/header_edits.h"

enum { QUALITY_MOST = 1000, MIN_SIZE = 1024 };

/* --- what is said -------------------------------------------------------------------------------
 */

static struct policy *merge(const struct policy *nearer, const struct policy *farther);
static struct slice words(const struct policy *policy, struct arena *arena);

static const struct policy_ops ops = {.merge = merge, .words = words};

#define TYPE(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
static const struct slice usual_types[] = {
    TYPE("text/*"),
    TYPE("application/*+json"),
    TYPE("application/*+xml"),
    TYPE("application/ecmascript"),
    TYPE("application/javascript"),
    TYPE("application/json"),
    TYPE("application/json5"),
    TYPE("application/rtf"),
    TYPE("application/vnd.ms-fontobject"),
    TYPE("application/wasm"),
    TYPE("application/x-javascript"),
    TYPE("application/x-ndjson"),
    TYPE("application/xml"),
    TYPE("application/yaml"),
    TYPE("font/otf"),
    TYPE("font/ttf"),
    TYPE("image/*+xml"),
    TYPE("image/bmp"),
    TYPE("image/vnd.microsoft.icon"),
    TYPE("image/x-icon"),
};
#undef TYPE
enum { USUAL_TYPES = sizeof(usual_types) / sizeof(usual_types[0]) };

struct compress_policy *compress_new(void)
{
    static const enum coding usual[] = {CODING_ZSTD, CODING_BR, CODING_GZIP};
    struct compress_policy *policy = policy_new(&ops, sizeof(*policy));

    memcpy(policy->codings, usual, sizeof(usual));
    policy->coding_count = CODINGS - 1;
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        policy->levels[coding] = coding_levels(coding).usual;
    policy->min_size = MIN_SIZE;
    policy->types = usual_types;
    policy->type_count = USUAL_TYPES;
    return policy;
}

static void take_codings(struct compress_policy *into, const struct compress_policy *from)
{
    memcpy(into->codings, from->codings, sizeof(from->codings));
    into->coding_count = from->coding_count;
    into->says_codings = from->says_codings;
}

static void take_types(struct compress_policy *into, const struct compress_policy *from)
{
    struct arena *arena = &into->policy.arena;
    struct slice *types = arena_alloc(arena, from->type_count * sizeof(*types));

    for (unsigned i = 0; i < from->type_count; i++)
        types[i] = arena_copy(arena, from->types[i]);
    into->types = types;
    into->type_count = from->type_count;
    into->says_types = from->says_types;
}

static void take(struct compress_policy *into, const struct compress_policy *from)
{
    if (from->says_codings)
        take_codings(into, from);
    if (from->says_min_size) {
        into->min_size = from->min_size;
        into->says_min_size = true;
    }
    if (from->says_types)
        take_types(into, from);
    for (enum coding coding = CODING_GZIP; coding < CODINGS; coding++)
        if (from->says_level[coding]) {
            into->levels[coding] = from->levels[coding];
            into->says_level[coding] = true;
        }
    into->is_whole |= from->is_whole;
}

static struct policy *merge(const struct policy *nearer, const struct policy *farther)
{
    const struct compress_policy *near = (const struct compress_policy *)nearer;
    struct compress_policy *merged = compress_new();

    if (!near->is_whole)
        take(merged, (const struct compress_policy *)farther);
    take(merged, near);
    return &merged->policy;
}

static struct slice add_size(struct arena *arena, struct slice text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    unsigned unit = 0;

    while (bytes > 0 && bytes % 1024 == 0 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    return arena_printf(arena, "%.*s; from %llu%s", (int)text.len, text.at,
                        (unsigned long long)bytes, units[unit]);
}

static struct slice words(const struct policy *policy, struct arena *arena)
{
    const struct compress_policy *compress = (const struct compress_policy *)policy;
    struct slice text = slice_of("");

    for (unsigned i = 0; i < compress->coding_count; i++) {
        enum coding coding = compress->codings[i];
        struct slice name = coding_name(coding);

        text = arena_printf(arena, "%.*s%s%.*s", (int)text.len, text.at, i > 0 ? ", " : "",
                            (int)name.len, name.at);
        if (compress->levels[coding] != coding_levels(coding).usual)
            text = arena_printf(arena, "%.*s (level %u)", (int)text.len, text.at,
                                compress->levels[coding]);
    }
    text = add_size(arena, text, compress->min_size);
    for (unsigned i = 0; compress->types != usual_types && i < compress->type_count; i++)
        text = arena_printf(arena, "%.*s%s%.*s", (int)text.len, text.at, i > 0 ? ", " : "; ",
                            (int)compress->types[i].len, compress->types[i].at);
    return text;
}

/* --- media types --------------------------------------------------------------------------------
 */

static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '*' || (text.at[i] >= 'A' && text.at[i] <= 'Z'))
            return false;
    return http_is_token(text);
}

bool compress_is_type(struct slice pattern)
{
    ptrdiff_t slash = slice_find(pattern, '/');
    struct slice type, rest;

    if (slash < 0)
        return false;
    type = slice_make(pattern.at, (size_t)slash);
    rest = slice_skip(pattern, (size_t)slash + 1);
    if (slice_equal(type, slice_of("*")))
        return slice_equal(rest, slice_of("*"));
    if (slice_starts_with(rest, slice_of("*+")))
        rest = slice_skip(rest, 2);
    else if (slice_equal(rest, slice_of("*")))
        return is_word(type);
    return is_word(type) && is_word(rest);
}

static bool starts_with_nocase(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal_nocase(slice_make(text.at, prefix.len), prefix);
}

/* A pattern's star stands for one character at least. */
static bool is_of_type(struct slice type, struct slice pattern)
{
    ptrdiff_t star = slice_find_last(pattern, '*');
    struct slice tail;

    if (star < 0)
        return slice_equal_nocase(type, pattern);
    if (pattern.at[0] == '*')
        return true;
    tail = slice_skip(pattern, (size_t)star + 1);
    return starts_with_nocase(type, slice_make(pattern.at, (size_t)star)) &&
           type.len > (size_t)star + tail.len &&
           slice_equal_nocase(slice_skip(type, type.len - tail.len), tail);
}

/* Without parameters; empty where there is none. */
static struct slice media_type(const struct http_fields *fields)
{
    const struct http_field *field = http_fields_find(fields, slice_of("content-type"));
    struct slice type = field != NULL ? field->value : slice_make(NULL, 0);
    ptrdiff_t end = slice_find(type, ';');

    return slice_trim(end < 0 ? type : slice_make(type.at, (size_t)end));
}

static bool is_type_wanted(const struct compress_policy *policy, const struct http_fields *fields)
{
    struct slice type = media_type(fields);

    for (unsigned i = 0; type.len > 0 && i < policy->type_count; i++)
        if (is_of_type(type, policy->types[i]))
            return true;
    return false;
}

/* --- Accept-Encoding ----------------------------------------------------------------------------
 */

/* "0", "0.5", "1.000", in thousandths (RFC 9110 section 12.4.2); -1: none of that. */
static int read_quality(struct slice text)
{
    int quality = 0, unit = QUALITY_MOST;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.at[1] != '.'))
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1)
            continue;
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        quality += (text.at[i] - '0') * unit;
        unit /= 10;
    }
    return quality <= QUALITY_MOST ? quality : -1;
}

/* Takes "; q=…" off; what is not understood is not wanted. */
static int take_quality(struct slice *element)
{
    ptrdiff_t at = slice_find(*element, ';');
    struct slice weight;
    int quality;

    if (at < 0)
        return QUALITY_MOST;
    weight = slice_trim(slice_skip(*element, (size_t)at + 1));
    *element = slice_trim(slice_make(element->at, (size_t)at));
    if (!starts_with_nocase(weight, slice_of("q=")))
        return 0;
    quality = read_quality(slice_skip(weight, 2));
    return quality < 0 ? 0 : quality;
}

/* -1: not named. What is named twice is wanted no more than the less. */
struct qualities {
    int of[CODINGS], others;
};

static void note_quality(int *place, int quality)
{
    if (*place < 0 || quality < *place)
        *place = quality;
}

static void read_accepted(struct slice list, struct qualities *qualities)
{
    struct slice element;

    while (slice_next_in_list(&list, &element)) {
        int quality = take_quality(&element);
        enum coding coding = coding_from(element);

        if (slice_equal(element, slice_of("*")))
            note_quality(&qualities->others, quality);
        else if (coding != CODING_IDENTITY || slice_equal_nocase(element, slice_of("identity")))
            note_quality(&qualities->of[coding], quality);
    }
}

enum coding compress_negotiate(const struct compress_policy *policy,
                               const struct http_fields *request)
{
    struct qualities qualities = {.of = {-1, -1, -1, -1}, .others = -1};
    enum coding best = CODING_IDENTITY;
    int best_quality;

    for (uint32_t i = 0; i < request->count; i++)
        if (slice_equal_nocase(request->list[i].name, slice_of("accept-encoding")))
            read_accepted(request->list[i].value, &qualities);
    for (enum coding coding = CODING_IDENTITY; coding < CODINGS; coding++)
        if (qualities.of[coding] < 0 && (coding != CODING_IDENTITY || qualities.others == 0))
            qualities.of[coding] = qualities.others;
    best_quality = qualities.of[CODING_IDENTITY];
    for (unsigned i = 0; i < policy->coding_count; i++) {
        enum coding coding = policy->codings[i];
        int quality = qualities.of[coding];

        /* What is as good as it is gets compressed, that being what the operator wishes. */
        if (quality > 0 &&
            (best == CODING_IDENTITY ? quality >= best_quality : quality > best_quality)) {
            best = coding;
            best_quality = quality;
        }
    }
    return best;
}

/* --- the choice ---------------------------------------------------------------------------------
 */

static bool has_token(const struct http_fields *fields, const char *name, const char *token)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice list = fields->list[i].value, element;

        if (!slice_equal_nocase(fields->list[i].name, slice_of(name)))
            continue;
        while (slice_next_in_list(&list, &element))
            if (slice_equal_nocase(element, slice_of(token)))
                return true;
    }
    return false;
}

static bool has(const struct http_fields *fields, const char *name)
{
    return http_fields_find(fields, slice_of(name)) != NULL;
}

static bool is_encoded(const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, slice_of("content-encoding")) &&
            !slice_equal_nocase(slice_trim(fields->list[i].value), slice_of("identity")))
            return true;
    return false;
}

static bool has_whole_content(int status)
{
    return status >= 200 && status != 204 && status != 205 && status != 206 && status != 304;
}

static bool is_long_enough(const struct compress_policy *policy, const struct http_head *request,
                           const struct http_head *response)
{
    if (response->has_content_length || response->framing == BODY_LENGTH)
        return response->content_length > 0 && response->content_length >= policy->min_size;
    return response->framing != BODY_NONE || request->method == METHOD_HEAD;
}

struct compress_choice compress_choose(const struct compress_policy *policy,
                                       const struct http_head *request,
                                       const struct http_head *response)
{
    const struct http_fields *fields = &response->fields;
    struct compress_choice choice = {.coding = CODING_IDENTITY};

    if (!has_whole_content(response->status) || is_encoded(fields) ||
        has(fields, "content-range") || has_token(fields, "cache-control", "no-transform") ||
        !is_type_wanted(policy, fields) || !is_long_enough(policy, request, response))
        return choice;
    choice.varies = true;
    if (!has_token(&request->fields, "cache-control", "no-transform"))
        choice.coding = compress_negotiate(policy, &request->fields);
    return choice;
}

/* --- heads --------------------------------------------------------------------------------------
 */

/* Into the field that is there; "*" says more already. */
static void add_vary(struct arena *arena, struct http_fields *fields)
{
    struct slice name = slice_of("Vary"), added = slice_of("Accept-Encoding");

    if (has_token(fields, "vary", "*") || has_token(fields, "vary", "accept-encoding"))
        return;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct slice *value = &fields->list[i].value;

        if (!slice_equal_nocase(fields->list[i].name, name) || slice_trim(*value).len == 0)
            continue;
        *value = arena_printf(arena, "%.*s, %s", (int)value->len, value->at, added.at);
        return;
    }
    http_fields_add(fields, arena, name, added);
}

static struct http_field *find_etag(struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->list[i].name, slice_of("etag")))
            return &fields->list[i];
    return NULL;
}

static bool is_strong(struct slice etag)
{
    return etag.len >= 2 && etag.at[0] == '"';
}

static struct slice weaken(struct arena *arena, struct slice etag)
{
    return arena_printf(arena, "W/%.*s", (int)etag.len, etag.at);
}

void compress_drop_digests(struct http_fields *fields)
{
    header_fields_drop(fields, slice_of("Content-Digest"));
    header_fields_drop(fields, slice_of("Content-MD5"));
    header_fields_drop(fields, slice_of("Digest"));
    header_fields_drop(fields, slice_of("Repr-Digest"));
}

void compress_edit_head(const struct compress_choice *choice, struct arena *arena,
                        struct http_head *response)
{
    struct http_fields *fields = &response->fields;
    struct http_field *etag = find_etag(fields);

    if (choice->varies)
        add_vary(arena, fields);
    if (choice->coding == CODING_IDENTITY)
        return;
    /* The same in another coding is not the same bytes (RFC 9110 section 8.8.1). */
    if (etag != NULL && is_strong(etag->value))
        etag->value = weaken(arena, etag->value);
    compress_drop_digests(fields);
    header_fields_drop(fields, slice_of("Accept-Ranges"));
    header_fields_drop(fields, slice_of("Content-Encoding"));
    http_fields_add(fields, arena, slice_of("Content-Encoding"), coding_name(choice->coding));
    response->framing = BODY_CHUNKED;
    response->has_content_length = false;
    response->content_length = 0;
}

/* Whether If-None-Match has this very tag; weak and strong ones differ. An entity tag may hold
 * commas, so that it is no plain list. */
static bool names_tag(const struct http_fields *request, struct slice etag)
{
    for (uint32_t i = 0; i < request->count; i++) {
        struct slice rest = request->list[i].value;

        if (!slice_equal_nocase(request->list[i].name, slice_of("if-none-match")))
            continue;
        while (rest.len > 0) {
            size_t weak = slice_starts_with(rest, slice_of("W/")) ? 2 : 0;
            ptrdiff_t end;

            if (weak == rest.len || rest.at[weak] != '"') {
                rest = slice_skip(rest, 1);
                continue;
            }
            end = slice_find(slice_skip(rest, weak + 1), '"');
            if (end < 0)
                break;
            if (slice_equal(slice_make(rest.at, weak + (size_t)end + 2), etag))
                return true;
            rest = slice_skip(rest, weak + (size_t)end + 2);
        }
    }
    return false;
}

void compress_edit_unchanged(struct arena *arena, const struct http_fields *request,
                             struct http_fields *response)
{
    struct http_field *etag = find_etag(response);
    struct slice weak;

    if (etag == NULL || !is_strong(etag->value) || names_tag(request, etag->value))
        return;
    weak = weaken(arena, etag->value);
    if (!names_tag(request, weak))
        return;
    etag->value = weak;
    add_vary(arena, response);
}
