#include "policy/error_pages.h"

#include "base/buffer.h"
#include "base/check.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct arena arena;

static void end(void)
{
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(error_pages, .fini = end);

/* --- pages --------------------------------------------------------------------------------------
 */

static struct source_content *parse(struct slice bytes, struct source_complaint **complaints)
{
    *complaints = NULL;
    return page_parse(bytes, &arena, complaints);
}

static void expect_page(const char *text, const char *printed, unsigned parts)
{
    struct source_complaint *complaints;
    struct source_content *content = parse(slice_of(text), &complaints);
    struct page_content *page = container_of(content, struct page_content, content);
    struct buffer out = {0};

    cr_assert_not_null(content);
    cr_expect(slice_equal(page->bytes, slice_of(text)), "%s", text);
    cr_expect_eq(page->template.part_count, parts, "%s: %u", text, page->template.part_count);
    template_print(&page->template, &out);
    cr_expect(slice_equal(buffer_content(&out), slice_of(printed)), "%s: %.*s", text,
              (int)buffer_length(&out), buffer_content(&out).at);
    buffer_clear(&out);
    source_content_unref(content);
}

/* Braces of other things are theirs; "{{" is how a template is printed that has one. */
Test(error_pages, are_cut_at_what_they_know)
{
    expect_page("", "", 0);
    expect_page("sorry", "sorry", 1);
    expect_page("{status}", "{status}", 1);
    expect_page("<b>{status}</b> {reason}, {request_id}", "<b>{status}</b> {reason}, {request_id}",
                6);
    expect_page("{status}{status}{reason", "{status}{status}{{reason", 3);
    expect_page("b{color:red}{}{ status}{Status}", "b{{color:red}{{}{{ status}{{Status}", 1);
    expect_page("{{status}}", "{{{status}}", 3);
    expect_page("{", "{{", 1);
    expect_page("{status", "{{status", 1);
    expect_page("{client_ip}", "{{client_ip}", 1);
}

Test(error_pages, have_a_largest_size)
{
    struct source_complaint *complaints;
    char *bytes = calloc(1, PAGE_BYTES_MOST + 1);
    struct source_content *content = parse(slice_make(bytes, PAGE_BYTES_MOST), &complaints);

    cr_expect_not_null(content);
    source_content_unref(content);
    cr_expect_null(parse(slice_make(bytes, PAGE_BYTES_MOST + 1), &complaints));
    cr_assert_not_null(complaints);
    cr_expect_eq(complaints->line, 0);
    free(bytes);
}

Test(error_pages, types_by_their_names)
{
    cr_expect_eq(page_type_of("/a.b/sorry.html"), PAGE_HTML);
    cr_expect_eq(page_type_of("/sorry.JSON"), PAGE_JSON);
    cr_expect_eq(page_type_of("/sorry.html.txt"), PAGE_TEXT);
    cr_expect_eq(page_type_of("/sorry.xml"), PAGE_XML);
    cr_expect_eq(page_type_of("/sorry.svg"), PAGE_SVG);
    cr_expect_eq(page_type_of("/a.json/sorry"), PAGE_HTML);
    cr_expect_eq(page_type_of("/sorry"), PAGE_HTML);
}

static void expect_escaped(enum page_type type, const char *value, const char *wanted)
{
    struct slice is = page_escape(type, slice_of(value), &arena);

    cr_expect(slice_equal(is, slice_of(wanted)), "%.*s", (int)is.len, is.at);
}

Test(error_pages, values_are_escaped)
{
    expect_escaped(PAGE_HTML, "<a href='x'>\"&amp;", "&lt;a href=&#39;x&#39;&gt;&quot;&amp;amp;");
    expect_escaped(PAGE_JSON, "a\"b\\", "a\\\"b\\\\");
    expect_escaped(PAGE_TEXT, "<a>\"", "<a>\"");
    expect_escaped(PAGE_HTML, "", "");
}

/* --- which one ----------------------------------------------------------------------------------
 */

static struct sources *sources;

static void add(struct error_pages *pages, int status, const char *path)
{
    struct source *source = path ? sources_get(sources, SOURCE_PAGE, path) : NULL;

    pages->list[pages->count++] = (struct error_page){.status = status, .source = source};
    if (source)
        policy_add_source(&pages->policy, source);
}

static void expect_found(const struct policy *policy, int status, const char *path)
{
    const struct error_page *page = error_pages_find(policy, status);

    cr_assert_eq(page != NULL, path != NULL, "%d", status);
    if (page)
        cr_expect_str_eq(source_location(page->source), path);
}

Test(error_pages, a_status_goes_before_its_class)
{
    struct error_pages *pages = error_pages_new(4);

    sources = sources_new();
    add(pages, 5, "/nowhere/5xx");
    add(pages, 502, "/nowhere/502");
    add(pages, 503, NULL);
    expect_found(&pages->policy, 502, "/nowhere/502");
    expect_found(&pages->policy, 504, "/nowhere/5xx");
    expect_found(&pages->policy, 503, NULL);
    expect_found(&pages->policy, 404, NULL);
    expect_found(&pages->policy, 200, NULL);
    policy_unref(&pages->policy);
    sources_free(sources);
}

Test(error_pages, are_merged_key_by_key)
{
    struct error_pages *nearer = error_pages_new(3), *farther = error_pages_new(3);
    struct policy *merged;

    sources = sources_new();
    add(nearer, 502, "/near/502");
    add(nearer, 4, NULL);
    add(farther, 502, "/far/502");
    add(farther, 4, "/far/4xx");
    add(farther, 5, "/far/5xx");
    farther->of_backends = OF_BACKENDS_TOO;
    merged = nearer->policy.ops->merge(&nearer->policy, &farther->policy);
    cr_expect(error_pages_are_for_backends(merged));
    policy_unref(merged);
    nearer->of_backends = OF_BACKENDS_NOT;
    merged = nearer->policy.ops->merge(&nearer->policy, &farther->policy);
    cr_expect(!error_pages_are_for_backends(merged));
    /* what it has from them is its own */
    policy_unref(&nearer->policy);
    policy_unref(&farther->policy);
    expect_found(merged, 502, "/near/502");
    expect_found(merged, 500, "/far/5xx");
    expect_found(merged, 404, NULL);
    policy_unref(merged);
    sources_free(sources);
}
