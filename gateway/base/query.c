#include "base/query.h"

void query_append(struct buffer *query, const char *name, const char *value)
{
    buffer_printf(query, "%s%s=", buffer_length(query) == 0 ? "?" : "&", name);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c <= ' ' || c >= 0x7f || strchr("&%+#", c) != NULL)
            buffer_printf(query, "%%%02x", c);
        else
            buffer_append(query, slice_make(value, 1));
    }
}

bool query_next(struct slice *query, struct query_parameter *parameter)
{
    while (query->len > 0 && query->at[0] == '&')
        *query = slice_skip(*query, 1);
    if (query->len == 0)
        return false;
    ptrdiff_t end = slice_find(*query, '&');
    struct slice whole = slice_make(query->at, end < 0 ? query->len : (size_t)end);
    ptrdiff_t equals = slice_find(whole, '=');
    *parameter = (struct query_parameter){.name = whole, .has_value = equals >= 0};
    if (equals >= 0) {
        parameter->name.len = (size_t)equals;
        parameter->value = slice_skip(whole, (size_t)equals + 1);
    }
    *query = slice_skip(*query, whole.len);
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *query_decode(struct arena *arena, struct slice value)
{
    char *text = arena_text(arena, value), *to = text;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '%') {
            int high = i + 2 < value.len ? hex_value(value.at[i + 1]) : -1;
            int low = i + 2 < value.len ? hex_value(value.at[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return text;
}
