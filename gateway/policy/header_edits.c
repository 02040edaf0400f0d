#include "policy/header_edits.h"

#include "base/check.h"

#include <ctype.h>
#include <strings.h>

/* Case does not count, and a "_" of the message may stand for a "-": many backends cannot tell them
 * apart, and would take a client's X_User for what the gateway says in X-User. */
static bool is_called(struct slice field, struct slice name)
{
    if (field.len != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (tolower((unsigned char)field.at[i]) != tolower((unsigned char)name.at[i]) &&
            (field.at[i] != '_' || name.at[i] != '-'))
            return false;
    return true;
}

/* Whether fields of that name have to go. */
static bool is_dropped(const struct header_edits *edits, struct slice name)
{
    for (unsigned i = 0; i < edits->count && edits->list[i].kind != HEADER_ADD; i++)
        if (is_called(name, edits->list[i].name))
            return true;
    return false;
}

void header_edits_drop(const struct header_edits *edits, struct http_fields *fields)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (!is_dropped(edits, fields->list[i].name))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

void header_fields_drop(struct http_fields *fields, struct slice name)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (!is_called(fields->list[i].name, name))
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

void header_edits_apply(const struct header_edits *edits,
                        const struct slice values[PLACEHOLDER_COUNT], struct arena *arena,
                        struct http_fields *fields)
{
    header_edits_drop(edits, fields);
    for (unsigned i = 0; i < edits->count; i++) {
        const struct header_edit *edit = &edits->list[i];
        struct slice value;

        if (edit->kind == HEADER_REMOVE)
            continue;
        value = slice_trim(template_fill(&edit->value, values, arena));
        if (value.len > 0)
            http_fields_add_id(fields, arena, edit->id, edit->name, value);
    }
}

int header_edit_compare(const struct header_edit *a, const struct header_edit *b)
{
    size_t shorter = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = (a->kind > b->kind) - (a->kind < b->kind);

    if (order == 0)
        order = strncasecmp(a->name.at, b->name.at, shorter);
    if (order == 0)
        order = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return order;
}

bool header_edits_equal(const struct header_edits *a, const struct header_edits *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (a->list[i].kind != b->list[i].kind || !slice_equal(a->list[i].name, b->list[i].name) ||
            !template_equal(&a->list[i].value, &b->list[i].value))
            return false;
    return true;
}

const char *header_edit_word(enum header_edit_kind kind)
{
    switch (kind) {
    case HEADER_REMOVE: return "remove";
    case HEADER_SET: return "set";
    case HEADER_ADD: return "add";
    }
    assert(!"a kind of header edit that does not exist");
    return "";
}
