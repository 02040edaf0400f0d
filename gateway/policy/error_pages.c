#include "policy/error_pages.h"

#include "base/check.h"
#include "base/json_text.h"

#include <stdlib.h>

/* --- pages --------------------------------------------------------------------------------------
 */

static const enum placeholder known[] = {PLACEHOLDER_STATUS, PLACEHOLDER_REASON,
                                         PLACEHOLDER_REQUEST_ID};

/* How long the placeholder is that begins at the brace; 0: none does, as in most CSS. */
static size_t placeholder_at(struct slice text, enum placeholder *placeholder)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct slice name = slice_of(placeholder_name(known[i]));
        struct slice rest = slice_skip(text, 1);
        *placeholder = known[i];
        if (slice_starts_with(rest, name) && rest.len > name.len && rest.at[name.len] == '}')
            return name.len + 2;
    }
    return 0;
}

static void add_part(struct template *template, enum placeholder placeholder, struct slice text)
{
    unsigned count = template->part_count;

    if (placeholder == PLACEHOLDER_NONE && text.len == 0)
        return;
    if ((count & (count - 1)) == 0) /* doubles when it is a power of two */
        template->parts = memory_resize(template->parts,
                                        (count ? 2 * (size_t)count : 1) * sizeof(*template->parts));
    template->parts[template->part_count++] =
        (struct template_part){.placeholder = placeholder, .text = text};
}

static void cut(struct slice text, struct template *template)
{
    size_t from = 0;

    for (size_t at = 0; at < text.len; at++) {
        enum placeholder placeholder;
        size_t length = text.at[at] == '{' ? placeholder_at(slice_skip(text, at), &placeholder) : 0;
        if (length == 0)
            continue;
        add_part(template, PLACEHOLDER_NONE, slice_make(text.at + from, at - from));
        add_part(template, placeholder, slice_make(NULL, 0));
        from = at + length;
        at = from - 1;
    }
    add_part(template, PLACEHOLDER_NONE, slice_make(text.at + from, text.len - from));
}

static void free_page(struct source_content *content)
{
    struct page_content *page = container_of(content, struct page_content, content);

    free(page->template.parts);
    free((char *)page->bytes.at);
    free(page);
}

struct source_content *page_parse(struct slice bytes, struct arena *arena,
                                  struct source_complaint **complaints)
{
    struct page_content *page;

    if (bytes.len > PAGE_BYTES_MOST) {
        source_complain(complaints, arena, 0, "a page has at most 1 MiB: it has %zu bytes",
                        bytes.len);
        return NULL;
    }
    page = memory_new(sizeof(*page));
    source_content_init(&page->content, free_page);
    page->bytes = slice_make(slice_duplicate(bytes), bytes.len);
    cut(page->bytes, &page->template);
    return &page->content;
}

static const struct {
    const char *extension, *content_type;
    bool is_filled;
} types[] = {
    [PAGE_HTML] = {".html", "text/html; charset=utf-8", true},
    [PAGE_JSON] = {".json", "application/json", true},
    [PAGE_TEXT] = {".txt", "text/plain; charset=utf-8", true},
    [PAGE_XML] = {".xml", "application/xml", false},
    [PAGE_SVG] = {".svg", "image/svg+xml", false},
};

enum page_type page_type_of(const char *path)
{
    struct slice name = slice_of(path);
    ptrdiff_t dot = slice_find_last(name, '.');

    for (enum page_type type = PAGE_HTML; dot >= 0 && type <= PAGE_SVG; type++)
        if (slice_equal_nocase(slice_skip(name, (size_t)dot), slice_of(types[type].extension)))
            return type;
    return PAGE_HTML;
}

const char *page_content_type(enum page_type type)
{
    return types[type].content_type;
}

bool page_is_filled(enum page_type type)
{
    return types[type].is_filled;
}

static struct slice escape_html(struct slice value, struct arena *arena)
{
    char *text = arena_bytes(arena, value.len * 6 + 1), *to = text;

    for (size_t i = 0; i < value.len; i++) {
        const char *entity = value.at[i] == '&'    ? "&amp;"
                             : value.at[i] == '<'  ? "&lt;"
                             : value.at[i] == '>'  ? "&gt;"
                             : value.at[i] == '"'  ? "&quot;"
                             : value.at[i] == '\'' ? "&#39;"
                                                   : NULL;
        size_t length = entity ? strlen(entity) : 1;
        memcpy(to, entity ? entity : &value.at[i], length);
        to += length;
    }
    return slice_make(text, (size_t)(to - text));
}

struct slice page_escape(enum page_type type, struct slice value, struct arena *arena)
{
    size_t room = value.len * 6 + 1;

    if (type == PAGE_HTML)
        return escape_html(value, arena);
    if (type == PAGE_JSON) {
        char *text = arena_bytes(arena, room);
        return slice_make(text, json_escape(value, text, room));
    }
    return value;
}

/* --- the policy ---------------------------------------------------------------------------------
 */

static const struct error_page *find(const struct error_pages *pages, int status)
{
    for (unsigned i = 0; i < pages->count; i++)
        if (pages->list[i].status == status)
            return &pages->list[i];
    return NULL;
}

const struct error_page *error_pages_find(const struct policy *policy, int status)
{
    const struct error_pages *pages = (const struct error_pages *)policy;
    const struct error_page *page = find(pages, status);

    if (page == NULL)
        page = find(pages, status / 100);
    return page != NULL && page->source != NULL ? page : NULL;
}

bool error_pages_are_for_backends(const struct policy *policy)
{
    return ((const struct error_pages *)policy)->of_backends == OF_BACKENDS_TOO;
}

static void inherit(struct error_pages *merged, const struct error_page *page)
{
    if (find(merged, page->status) != NULL)
        return;
    merged->list[merged->count++] = *page;
    if (page->source != NULL)
        policy_add_source(&merged->policy, source_ref(page->source));
}

static struct policy *merge(const struct policy *nearer, const struct policy *farther)
{
    const struct error_pages *near = (const struct error_pages *)nearer;
    const struct error_pages *far = (const struct error_pages *)farther;
    struct error_pages *merged = error_pages_new(near->count + far->count);

    merged->of_backends =
        near->of_backends != OF_BACKENDS_UNSAID ? near->of_backends : far->of_backends;
    for (unsigned i = 0; i < near->count; i++)
        inherit(merged, &near->list[i]);
    for (unsigned i = 0; i < far->count; i++)
        inherit(merged, &far->list[i]);
    return &merged->policy;
}

static struct slice tell(const struct policy *policy, struct arena *arena)
{
    const struct error_pages *pages = (const struct error_pages *)policy;
    struct slice words = slice_of(pages->count == 0 ? "no pages" : "");

    for (unsigned i = 0; i < pages->count; i++) {
        const struct error_page *page = &pages->list[i];
        words = arena_printf(arena, "%.*s%s%d%s %s", (int)words.len, words.at, i > 0 ? ", " : "",
                             page->status, page->status < 10 ? "xx" : "",
                             page->source ? source_location(page->source) : "off");
    }
    return arena_printf(arena, "%.*s%s", (int)words.len, words.at,
                        pages->of_backends == OF_BACKENDS_TOO ? ", of backends too" : "");
}

static const struct policy_ops ops = {.merge = merge, .words = tell};

struct error_pages *error_pages_new(unsigned room)
{
    struct error_pages *pages = policy_new(&ops, sizeof(*pages));

    pages->list = arena_alloc(&pages->policy.arena, (room + 1) * sizeof(*pages->list));
    return pages;
}
