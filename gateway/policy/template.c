#include "policy/template.h"

#include "base/check.h"

const char *placeholder_name(enum placeholder placeholder)
{
    static const char *const names[PLACEHOLDER_COUNT] = {
        [PLACEHOLDER_NONE] = "",
        [PLACEHOLDER_SCHEME] = "scheme",
        [PLACEHOLDER_HOST] = "host",
        [PLACEHOLDER_PATH] = "path",
        [PLACEHOLDER_QUERY] = "query",
        [PLACEHOLDER_URI] = "uri",
        [PLACEHOLDER_REQUEST_ID] = "request_id",
        [PLACEHOLDER_CLIENT_IP] = "client_ip",
        [PLACEHOLDER_SNI] = "sni",
        [PLACEHOLDER_ROUTE] = "route",
        [PLACEHOLDER_STATUS] = "status",
        [PLACEHOLDER_REASON] = "reason",
    };

    assert(placeholder < PLACEHOLDER_COUNT);
    return names[placeholder];
}

static struct slice part_value(const struct template_part *part, const struct slice *values)
{
    return part->placeholder == PLACEHOLDER_NONE ? part->text : values[part->placeholder];
}

struct slice template_fill(const struct template *template,
                           const struct slice values[PLACEHOLDER_COUNT], struct arena *arena)
{
    size_t length = 0, at = 0;

    if (template->part_count == 1)
        return part_value(&template->parts[0], values);
    for (unsigned i = 0; i < template->part_count; i++)
        length += part_value(&template->parts[i], values).len;
    if (length == 0)
        return slice_make("", 0);
    char *text = arena_bytes(arena, length);
    for (unsigned i = 0; i < template->part_count; i++) {
        struct slice value = part_value(&template->parts[i], values);
        if (value.len > 0)
            memcpy(text + at, value.at, value.len);
        at += value.len;
    }
    return slice_make(text, length);
}

struct template template_copy(const struct template *template, struct arena *arena)
{
    struct template copy = {.part_count = template->part_count};

    if (template->part_count == 0)
        return copy;
    copy.parts = arena_alloc(arena, template->part_count * sizeof(*copy.parts));
    for (unsigned i = 0; i < template->part_count; i++) {
        copy.parts[i] = template->parts[i];
        copy.parts[i].text = arena_copy(arena, template->parts[i].text);
    }
    return copy;
}

bool template_equal(const struct template *a, const struct template *b)
{
    if (a->part_count != b->part_count)
        return false;
    for (unsigned i = 0; i < a->part_count; i++)
        if (a->parts[i].placeholder != b->parts[i].placeholder ||
            !slice_equal(a->parts[i].text, b->parts[i].text))
            return false;
    return true;
}

static void print_literal(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '{')
            buffer_append_text(out, "{");
        buffer_append(out, slice_make(text.at + i, 1));
    }
}

void template_print(const struct template *template, struct buffer *out)
{
    for (unsigned i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->placeholder == PLACEHOLDER_NONE)
            print_literal(part->text, out);
        else
            buffer_printf(out, "{%s}", placeholder_name(part->placeholder));
    }
}
