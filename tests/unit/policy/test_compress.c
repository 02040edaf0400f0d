/* policy/compress: which answers are compressed for whom, and what their heads say then. */
#include "policy/compress.h"

#include <criterion/criterion.h>

static struct arena arena;
static struct compress_policy *policy;
static struct http_head request, response;

static void set_up(void)
{
    arena = (struct arena){0};
    policy = compress_new();
    request = (struct http_head){.method = METHOD_GET};
    response = (struct http_head){.status = 200, .framing = BODY_LENGTH, .content_length = 5000};
}

static void tear_down(void)
{
    policy_unref(&policy->policy);
    arena_clear(&arena);
}

TestSuite(compress_policy, .init = set_up, .fini = tear_down);

/* "Name: value" lines. */
static void add_lines(struct http_fields *fields, const char *lines)
{
    while (*lines) {
        const char *colon = strchr(lines, ':'), *end = strchr(lines, '\n');
        struct slice name = slice_make(lines, (size_t)(colon - lines));
        struct slice value =
            slice_trim(slice_make(colon + 1, end ? (size_t)(end - colon - 1) : strlen(colon + 1)));

        http_fields_add_id(fields, &arena, field_id_from(name), name, value);
        lines = end ? end + 1 : "";
    }
}

static const char *text_of(const struct http_fields *fields)
{
    struct slice text = slice_of("");

    for (uint32_t i = 0; i < fields->count; i++)
        text = arena_printf(&arena, "%.*s%.*s: %.*s\n", (int)text.len, text.at,
                            (int)fields->list[i].name.len, fields->list[i].name.at,
                            (int)fields->list[i].value.len, fields->list[i].value.at);
    return arena_text(&arena, text);
}

/* --- Accept-Encoding ----------------------------------------------------------------------------
 */

Test(compress_policy, what_the_client_likes_best_wins)
{
    static const struct {
        const char *accepts, *coding;
    } rows[] = {
        {"", "identity"},
        {"Accept-Encoding:", "identity"},
        {"Accept-Encoding: gzip", "gzip"},
        {"Accept-Encoding: GZip", "gzip"},
        {"Accept-Encoding: x-gzip", "gzip"},
        {"Accept-Encoding: br", "br"},
        {"Accept-Encoding: zstd", "zstd"},
        {"Accept-Encoding: gzip, deflate, br, zstd", "zstd"},
        {"Accept-Encoding: gzip, deflate, br", "br"},
        {"Accept-Encoding: deflate", "identity"},
        {"Accept-Encoding: deflate, compress, foo", "identity"},
        {"Accept-Encoding: gzip\nAccept-Encoding: br", "br"},
        {"Accept-Encoding: gzip;q=1.0, br;q=0.8, zstd;q=0.1", "gzip"},
        {"Accept-Encoding: gzip;q=0.5, br;q=0.501", "br"},
        {"Accept-Encoding: gzip;q=0.5,br;q=0.5", "br"},
        {"Accept-Encoding: gzip ; q=0.5 , br ;q=0.4", "gzip"},
        {"Accept-Encoding: gzip;Q=0.5, br;Q=0.4", "gzip"},
        {"Accept-Encoding: gzip;q=0", "identity"},
        {"Accept-Encoding: gzip;q=0.000", "identity"},
        {"Accept-Encoding: zstd;q=0, gzip;q=0.1", "gzip"},
        {"Accept-Encoding: *", "zstd"},
        {"Accept-Encoding: *;q=0", "identity"},
        {"Accept-Encoding: *;q=0, gzip", "gzip"},
        {"Accept-Encoding: gzip, *;q=0", "gzip"},
        {"Accept-Encoding: zstd;q=0, *;q=0.5", "br"},
        {"Accept-Encoding: gzip, *;q=0.5", "gzip"},
        {"Accept-Encoding: identity", "identity"},
        {"Accept-Encoding: identity, gzip;q=0.5", "identity"},
        {"Accept-Encoding: identity;q=0.5, gzip;q=0.5", "gzip"},
        {"Accept-Encoding: identity;q=0.5, gzip;q=1.0", "gzip"},
        {"Accept-Encoding: identity;q=0, gzip;q=0.1", "gzip"},
        {"Accept-Encoding: identity;q=0", "identity"},
        {"Accept-Encoding: gzip;q=2", "identity"},
        {"Accept-Encoding: gzip;q=1.001", "identity"},
        {"Accept-Encoding: gzip;q=0.1234", "identity"},
        {"Accept-Encoding: gzip;q=-1", "identity"},
        {"Accept-Encoding: gzip;q=", "identity"},
        {"Accept-Encoding: gzip;q=0.5;x=1", "identity"},
        {"Accept-Encoding: gzip;x=1", "identity"},
        {"Accept-Encoding: gzip;", "identity"},
        {"Accept-Encoding: ;q=1, gzip", "gzip"},
        {"Accept-Encoding: gzip;q=1, gzip;q=0", "identity"},
        {"Accept-Encoding: , ,gzip,", "gzip"},
        {"Accept-Encoding: gzipped, bra, zst", "identity"},
        {"Accept: br", "identity"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = {0};

        add_lines(&fields, rows[i].accepts);
        cr_expect_str_eq(coding_name(compress_negotiate(policy, &fields)).at, rows[i].coding, "%s",
                         rows[i].accepts);
    }
}

Test(compress_policy, the_policy_decides_among_equals)
{
    policy->codings[0] = CODING_GZIP;
    policy->codings[1] = CODING_BR;
    policy->coding_count = 2;
    add_lines(&request.fields, "Accept-Encoding: zstd, br, gzip");
    cr_expect_eq(compress_negotiate(policy, &request.fields), CODING_GZIP);
    request.fields.count = 0;
    add_lines(&request.fields, "Accept-Encoding: zstd, br, gzip;q=0.9");
    cr_expect_eq(compress_negotiate(policy, &request.fields), CODING_BR);
    request.fields.count = 0;
    add_lines(&request.fields, "Accept-Encoding: zstd");
    cr_expect_eq(compress_negotiate(policy, &request.fields), CODING_IDENTITY);
}

/* --- the choice ---------------------------------------------------------------------------------
 */

static struct compress_choice choose(const char *asks, const char *answers)
{
    request.fields.count = response.fields.count = 0;
    add_lines(&request.fields, asks);
    add_lines(&response.fields, answers);
    return compress_choose(policy, &request, &response);
}

static const char GZIP[] = "Accept-Encoding: gzip", HTML[] = "Content-Type: text/html";

static void expect_choice(struct compress_choice choice, bool varies, enum coding coding)
{
    cr_expect_eq(choice.varies, varies);
    cr_expect_eq(choice.coding, coding);
}

Test(compress_policy, text_is_compressed_and_varies)
{
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
    expect_choice(choose("", HTML), true, CODING_IDENTITY);
    expect_choice(choose("Accept-Encoding: deflate", HTML), true, CODING_IDENTITY);
}

Test(compress_policy, what_stays_as_it_is)
{
    static const char *const answers[] = {
        "", /* nobody knows what it is */
        "Content-Type:",
        "Content-Type: image/png",
        "Content-Type: video/mp4",
        "Content-Type: application/octet-stream",
        "Content-Type: textual/html",
        "Content-Type: text/",
        "Content-Type: text/html\nContent-Encoding: gzip",
        "Content-Type: text/html\nContent-Encoding: br",
        "Content-Type: text/html\nContent-Encoding: identity\nContent-Encoding: gzip",
        "Content-Type: text/html\nContent-Encoding: aes128gcm",
        "Content-Type: text/html\nContent-Range: bytes 0-10/20",
        "Content-Type: text/html\nCache-Control: no-transform",
        "Content-Type: text/html\nCache-Control: public, No-Transform, max-age=1",
        "Content-Type: text/html\nCache-Control: public\nCache-Control: no-transform",
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct compress_choice choice = choose(GZIP, answers[i]);
        cr_expect(!choice.varies && choice.coding == CODING_IDENTITY, "%s", answers[i]);
    }
    expect_choice(choose(GZIP, "Content-Type: text/html\nContent-Encoding: identity"), true,
                  CODING_GZIP);
}

/* For this client alone. */
Test(compress_policy, client_may_ask_for_no_transform)
{
    expect_choice(choose("Accept-Encoding: gzip\nCache-Control: no-transform", HTML), true,
                  CODING_IDENTITY);
}

Test(compress_policy, statuses)
{
    static const struct {
        int status;
        bool is_compressed;
    } rows[] = {{200, true},  {201, true}, {203, true},  {204, false}, {205, false},
                {206, false}, {301, true}, {304, false}, {400, true},  {404, true},
                {410, true},  {500, true}, {503, true},  {103, false}, {101, false}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        response.status = rows[i].status;
        expect_choice(choose(GZIP, HTML), rows[i].is_compressed,
                      rows[i].is_compressed ? CODING_GZIP : CODING_IDENTITY);
    }
}

Test(compress_policy, length_that_is_known_counts)
{
    response.content_length = 1023;
    expect_choice(choose(GZIP, HTML), false, CODING_IDENTITY);
    response.content_length = 1024;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
    response.content_length = 0;
    response.framing = BODY_CHUNKED;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
    response.framing = BODY_CLOSE;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
    response.framing = BODY_NONE;
    expect_choice(choose(GZIP, HTML), false, CODING_IDENTITY);
    policy->min_size = 0;
    response.framing = BODY_LENGTH;
    expect_choice(choose(GZIP, HTML), false, CODING_IDENTITY);
    response.content_length = 1;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
}

Test(compress_policy, head_as_get)
{
    request.method = METHOD_HEAD;
    response.framing = BODY_NONE;
    response.has_content_length = true;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
    response.content_length = 100;
    expect_choice(choose(GZIP, HTML), false, CODING_IDENTITY);
    response.has_content_length = false;
    expect_choice(choose(GZIP, HTML), true, CODING_GZIP);
}

/* --- types --------------------------------------------------------------------------------------
 */

Test(compress_policy, usual_types)
{
    static const char *const types[] = {"text/html; charset=utf-8", "TEXT/CSS",
                                        "text/event-stream",        "application/json",
                                        "application/json;x=y",     "application/problem+json",
                                        "application/javascript",   "application/xml",
                                        "application/rss+xml",      "image/svg+xml",
                                        "application/wasm",         "font/ttf"};
    static const char *const others[] = {"image/jpeg", "application/zip", "font/woff2",
                                         "application/+json", "application/pdf"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct slice line = arena_printf(&arena, "Content-Type: %s", types[i]);
        cr_expect(choose(GZIP, arena_text(&arena, line)).varies, "%s", types[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct slice line = arena_printf(&arena, "Content-Type: %s", others[i]);
        cr_expect(!choose(GZIP, arena_text(&arena, line)).varies, "%s", others[i]);
    }
}

Test(compress_policy, patterns_of_types)
{
    static const char *const good[] = {"text/html", "text/*", "application/*+json", "*/*",
                                       "application/vnd.a-b+xml"};
    static const char *const bad[] = {"",        "text",  "/",     "text/",       "/html",
                                      "*",       "*/x",   "te*/x", "text/*x",     "text/**",
                                      "a b/c",   "a/b/c", "a/b;c", "a/*+",        "A/b",
                                      "a/*+b*c", "**/*",  "*/*+x", "text/html, x"};
    static const struct slice everything[] = {{"*/*", 3}};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect(compress_is_type(slice_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!compress_is_type(slice_of(bad[i])), "%s", bad[i]);
    policy->types = everything;
    policy->type_count = 1;
    expect_choice(choose(GZIP, "Content-Type: image/png"), true, CODING_GZIP);
    expect_choice(choose(GZIP, ""), false, CODING_IDENTITY);
}

/* --- heads --------------------------------------------------------------------------------------
 */

static const char *edited(const char *fields, enum coding coding)
{
    struct compress_choice choice = {.varies = true, .coding = coding};

    response.fields.count = 0;
    add_lines(&response.fields, fields);
    compress_edit_head(&choice, &arena, &response);
    return text_of(&response.fields);
}

Test(compress_policy, vary_is_merged)
{
    static const struct {
        const char *has, *gets;
    } rows[] = {
        {"", "Vary: Accept-Encoding\n"},
        {"Vary: Cookie", "Vary: Cookie, Accept-Encoding\n"},
        {"vary: accept-encoding", "vary: accept-encoding\n"},
        {"Vary: Cookie, Accept-Encoding", "Vary: Cookie, Accept-Encoding\n"},
        {"Vary: *", "Vary: *\n"},
        {"Vary: Cookie, *", "Vary: Cookie, *\n"},
        {"Vary: Cookie\nVary: Accept-Encoding", "Vary: Cookie\nVary: Accept-Encoding\n"},
        {"Vary: A\nVary: B", "Vary: A, Accept-Encoding\nVary: B\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(edited(rows[i].has, CODING_IDENTITY), rows[i].gets, "%s", rows[i].has);
    cr_expect_eq(response.framing, BODY_LENGTH);
}

Test(compress_policy, what_is_not_true_any_more_goes)
{
    response.has_content_length = true;
    cr_expect_str_eq(edited("A: b\nETag: \"x,y\"\nAccept-Ranges: bytes\nContent-MD5: 1\n"
                            "digest: 2\nRepr-Digest: 3\nContent-Digest: 4\nLast-Modified: now\n"
                            "Content-Encoding: identity\nWant-Digest: x",
                            CODING_BR),
                     "A: b\nETag: W/\"x,y\"\nLast-Modified: now\nWant-Digest: x\n"
                     "Vary: Accept-Encoding\nContent-Encoding: br\n");
    cr_expect_eq(response.framing, BODY_CHUNKED);
    cr_expect(!response.has_content_length);
}

Test(compress_policy, weak_tags_stay_weak)
{
    cr_expect_str_eq(edited("ETag: W/\"x\"\nVary: *", CODING_GZIP),
                     "ETag: W/\"x\"\nVary: *\nContent-Encoding: gzip\n");
}

/* A client that has the weakened tag is told that one again (RFC 9110 section 15.4.5). */
Test(compress_policy, unchanged_says_the_tag_that_the_client_has)
{
    static const struct {
        const char *asks, *has, *gets;
    } rows[] = {
        {"If-None-Match: W/\"x\"", "ETag: \"x\"", "ETag: W/\"x\"\nVary: Accept-Encoding\n"},
        {"If-None-Match: \"a\", W/\"x\"", "ETag: \"x\"", "ETag: W/\"x\"\nVary: Accept-Encoding\n"},
        {"If-None-Match: W/\"x,W/\"", "ETag: \"x,W/\"",
         "ETag: W/\"x,W/\"\nVary: Accept-Encoding\n"},
        {"If-None-Match: \"x\"", "ETag: \"x\"", "ETag: \"x\"\n"},
        {"If-None-Match: \"x\", W/\"x\"", "ETag: \"x\"", "ETag: \"x\"\n"},
        {"If-None-Match: *", "ETag: \"x\"", "ETag: \"x\"\n"},
        {"If-None-Match: W/", "ETag: \"x\"", "ETag: \"x\"\n"},
        {"If-None-Match: W/\"x", "ETag: \"x\"", "ETag: \"x\"\n"},
        {"If-None-Match: W/\"x\"", "ETag: W/\"x\"", "ETag: W/\"x\"\n"},
        {"If-None-Match: W/\"x\"", "ETag: \"y\"", "ETag: \"y\"\n"},
        {"If-None-Match: W/\"x\"", "Date: now", "Date: now\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        request.fields.count = response.fields.count = 0;
        add_lines(&request.fields, rows[i].asks);
        add_lines(&response.fields, rows[i].has);
        compress_edit_unchanged(&arena, &request.fields, &response.fields);
        cr_expect_str_eq(text_of(&response.fields), rows[i].gets, "%s", rows[i].asks);
    }
}
