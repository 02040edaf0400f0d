#include "base/slice.h"

#include "base/check.h"

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.at[i] != b.at[i] && lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_equal(slice_make(s.at, prefix.len), prefix);
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_equal(slice_skip(s, s.len - suffix.len), suffix);
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *found = s.len > 0 ? memchr(s.at, c, s.len) : NULL;
    return found != NULL ? found - s.at : -1;
}

ptrdiff_t slice_find_last(struct slice s, char c)
{
    for (size_t i = s.len; i > 0; i--) {
        if (s.at[i - 1] == c)
            return (ptrdiff_t)(i - 1);
    }
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.at[0]))
        s = slice_skip(s, 1);
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool slice_next_in_list(struct slice *list, struct slice *element)
{
    while (list->len > 0) {
        ptrdiff_t comma = slice_find(*list, ',');
        size_t length = comma >= 0 ? (size_t)comma : list->len;
        *element = slice_trim(slice_make(list->at, length));
        *list = slice_skip(*list, comma >= 0 ? length + 1 : length);
        if (element->len > 0)
            return true;
    }
    return false;
}

bool slice_parse_u64(struct slice s, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

void slice_copy_text(struct slice s, char *to, size_t size)
{
    assert(size > 0);
    size_t length = s.len < size ? s.len : size - 1;
    if (length > 0)
        memcpy(to, s.at, length);
    to[length] = '\0';
}

char *slice_duplicate(struct slice s)
{
    char *text = memory_new(s.len + 1);
    slice_copy_text(s, text, s.len + 1);
    return text;
}
