/* Cookies: what is found and taken out is what a second reading says, others stay; letters of
 * base64url have one meaning; no bytes pass for a sticky cookie that was issued. */
#include "base/check.h"
#include "http/cookie.h"
#include "proxy/sticky.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const struct slice name = {"a", 1};

/* --- a second reading ----------------------------------------------------------------------- */

/* What stands at *at up to a ";", behind which *at moves. False: it was at the end. */
static bool next_piece(struct slice text, size_t *at, struct slice *piece)
{
    size_t from = *at;

    if (from > text.len)
        return false;
    while (*at < text.len && text.at[*at] != ';')
        ++*at;
    *piece = slice_trim(slice_make(text.at + from, *at - from));
    ++*at;
    return true;
}

/* `name`, blanks, "=" */
static bool is_ours(struct slice piece)
{
    struct slice rest;

    if (!slice_starts_with(piece, name))
        return false;
    rest = slice_trim(slice_skip(piece, name.len));
    return rest.len > 0 && rest.at[0] == '=';
}

static bool has_ours(struct slice text)
{
    struct slice piece;

    for (size_t at = 0; next_piece(text, &at, &piece);)
        if (is_ours(piece))
            return true;
    return false;
}

/* The next piece that is neither ours nor empty. */
static bool next_other(struct slice text, size_t *at, struct slice *piece)
{
    while (next_piece(text, at, piece))
        if (piece->len > 0 && !is_ours(*piece))
            return true;
    return false;
}

static void expect_same_others(struct slice before, struct slice after)
{
    size_t at_before = 0, at_after = 0;
    struct slice was, is;

    while (next_other(before, &at_before, &was)) {
        bool is_there = next_other(after, &at_after, &is);
        assert(is_there && slice_equal(was, is));
    }
    assert(!next_other(after, &at_after, &is));
}

static void check_request(struct slice value, struct arena *arena)
{
    struct http_fields fields = {0};
    struct slice found, left = slice_make("", 0);

    http_fields_add_id(&fields, arena, FIELD_COOKIE, slice_of("Cookie"), value);
    found = cookie_find(&fields, name);
    assert(found.len == 0 || (has_ours(value) && slice_find(found, ';') < 0));
    cookie_remove(&fields, arena, name);
    if (fields.count > 0)
        left = fields.list[0].value;
    assert(has_ours(value) || (fields.count == 1 && slice_equal(left, value)));
    assert(!has_ours(left));
    expect_same_others(value, left);
}

static void check_response(struct slice value, struct arena *arena)
{
    struct http_fields fields = {0};
    struct slice first;
    size_t at = 0;

    http_fields_add_id(&fields, arena, FIELD_SET_COOKIE, slice_of("Set-Cookie"), value);
    cookie_remove_set(&fields, name);
    assert((fields.count == 0) == (next_piece(value, &at, &first) && is_ours(first)));
}

static void check_letters(struct slice letters)
{
    size_t count = letters.len * 3 / 4;
    uint8_t *bytes = malloc(count + 1);
    char *again = malloc(letters.len + 1);

    if (base64url_read(letters, bytes, count)) {
        base64url_write(bytes, count, again);
        assert(slice_equal(slice_make(again, letters.len), letters));
    }
    free(bytes);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice whole = slice_make((const char *)bytes, length);
    const struct sticky_spec spec = {.cookie = name, .key = slice_of("nobody knows")};
    const struct sticky_issuer issuer = {.spec = &spec, .backend = slice_of("b"), .now_s = 1};
    struct arena arena = {0};

    if (length == 0)
        return 0;
    check_request(whole, &arena);
    check_response(whole, &arena);
    check_letters(whole);
    assert(sticky_value_read(&issuer, whole).server == 0);
    arena_clear(&arena);
    return 0;
}
