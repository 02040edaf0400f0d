#include "http/cookie.h"

/* Takes the next pair off the front, as it is written, without its ";". */
static bool take_pair(struct slice *rest, struct slice *pair)
{
    ptrdiff_t end = slice_find(*rest, ';');

    if (rest->len == 0)
        return false;
    *pair = slice_make(rest->at, end < 0 ? rest->len : (size_t)end);
    *rest = slice_skip(*rest, end < 0 ? rest->len : (size_t)end + 1);
    return true;
}

/* What has no "=" has no name either. */
static bool is_named(struct slice pair, struct slice name)
{
    ptrdiff_t equals = slice_find(pair, '=');

    return equals >= 0 && slice_equal(slice_trim(slice_make(pair.at, (size_t)equals)), name);
}

static struct slice value_of(struct slice pair)
{
    struct slice value = slice_trim(slice_skip(pair, (size_t)slice_find(pair, '=') + 1));
    bool is_quoted = value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"';

    return is_quoted ? slice_make(value.at + 1, value.len - 2) : value;
}

/* Of one field's value: its first pair of that name. */
static bool find_pair(struct slice value, struct slice name, struct slice *pair)
{
    while (take_pair(&value, pair))
        if (is_named(*pair, name))
            return true;
    return false;
}

struct slice cookie_find(const struct http_fields *request, struct slice name)
{
    struct slice pair;

    for (uint32_t i = 0; i < request->count; i++)
        if (request->list[i].id == FIELD_COOKIE && find_pair(request->list[i].value, name, &pair))
            return value_of(pair);
    return slice_make(NULL, 0);
}

static struct slice without(struct slice value, struct arena *arena, struct slice name)
{
    char *text = arena_bytes(arena, value.len);
    size_t length = 0;
    struct slice pair;

    while (take_pair(&value, &pair)) {
        if (is_named(pair, name))
            continue;
        if (length > 0)
            text[length++] = ';';
        else
            pair = slice_trim(pair);
        memcpy(text + length, pair.at, pair.len);
        length += pair.len;
    }
    return slice_trim(slice_make(text, length));
}

void cookie_remove(struct http_fields *request, struct arena *arena, struct slice name)
{
    uint32_t kept = 0;
    struct slice pair;

    for (uint32_t i = 0; i < request->count; i++) {
        struct http_field field = request->list[i];
        bool holds_it = field.id == FIELD_COOKIE && find_pair(field.value, name, &pair);

        if (holds_it)
            field.value = without(field.value, arena, name);
        if (!holds_it || field.value.len > 0)
            request->list[kept++] = field;
    }
    request->count = kept;
}

void cookie_remove_set(struct http_fields *response, struct slice name)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < response->count; i++) {
        struct slice value = response->list[i].value, pair;
        bool sets_it = response->list[i].id == FIELD_SET_COOKIE && take_pair(&value, &pair) &&
                       is_named(pair, name);

        if (!sets_it)
            response->list[kept++] = response->list[i];
    }
    response->count = kept;
}
