#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct json_document read_good(const char *text)
{
    struct json_document document;
    struct json_mistake mistake;

    cr_assert(json_document_read(&document, slice_of(text), &mistake), "%u:%u: %s", mistake.line,
              mistake.column, mistake.message);
    return document;
}

static void expect_bytes_mistake(struct slice text, unsigned line, unsigned column,
                                 const char *words)
{
    struct json_document document;
    struct json_mistake mistake;

    cr_assert_not(json_document_read(&document, text, &mistake), "%s", text.at);
    cr_expect(strstr(mistake.message, words), "%s: \"%s\" is not in \"%s\"", text.at, words,
              mistake.message);
    cr_expect_eq(mistake.line, line, "%s: line %u", text.at, mistake.line);
    cr_expect_eq(mistake.column, column, "%s: column %u (%s)", text.at, mistake.column,
                 mistake.message);
}

static void expect_mistake(const char *text, unsigned line, unsigned column, const char *words)
{
    expect_bytes_mistake(slice_of(text), line, column, words);
}

static void expect_place(const struct json_node *node, unsigned key_line, unsigned key_column,
                         unsigned line, unsigned column)
{
    cr_assert(node);
    cr_expect_eq(node->key_line, key_line);
    cr_expect_eq(node->key_column, key_column);
    cr_expect_eq(node->line, line);
    cr_expect_eq(node->column, column);
}

static void expect_path(const struct json_node *node, const char *expected)
{
    struct buffer out = {0};

    json_append_path(&out, node);
    cr_expect(slice_equal(buffer_content(&out), slice_of(expected)), "%.*s is not %s",
              (int)buffer_length(&out), buffer_content(&out).at, expected);
    buffer_clear(&out);
    buffer_cache_clear();
}

Test(json, places_of_keys_and_values)
{
    struct json_document d = read_good("{\n  \"a\": [10,\n\t20],\n  \"b\" :\n  {\"c\": null}\n}");

    expect_place(d.root, 0, 0, 1, 1);
    expect_place(json_member(d.root, "a"), 2, 3, 2, 8);
    expect_place(json_member(d.root, "a")->first, 0, 0, 2, 9);
    expect_place(json_member(d.root, "a")->first->next, 0, 0, 3, 2);
    expect_place(json_member(d.root, "b"), 4, 3, 5, 3);
    expect_place(json_member(json_member(d.root, "b"), "c"), 5, 4, 5, 9);
    cr_expect_null(json_member(d.root, "d"));
    json_document_clear(&d);
}

Test(json, columns_count_characters)
{
    struct json_document d = read_good("{\"\xc3\xa9\xf0\x9f\x98\x80\": 1, \"b\": 2}");

    expect_place(json_member(d.root, "b"), 1, 11, 1, 16);
    json_document_clear(&d);
}

Test(json, values_are_those_of_their_places)
{
    struct json_document d = read_good(
        "{\"a\": [true, -1.5e3, {\"x\": \"s\"}], \"\\u0062\\n\": 7, \"\\ud83d\\ude00\": 8}");
    const struct json_node *list = json_member(d.root, "a");

    cr_expect(json_is_true(list->first->value));
    cr_expect_eq(json_real_value(list->first->next->value), -1500);
    cr_expect_str_eq(json_string_value(json_member(list->first->next->next, "x")->value), "s");
    cr_expect_eq(json_integer_value(json_member(d.root, "b\n")->value), 7);
    cr_expect_eq(json_integer_value(json_member(d.root, "\xf0\x9f\x98\x80")->value), 8);
    json_document_clear(&d);
}

Test(json, paths)
{
    struct json_document d = read_good("{\"routes\": {\"api.example.com\": {\"paths\": {\"/v1/\": "
                                       "{\"to\": [1, {\"a_9\": 2}]}}}}, \"9x\": 3, \"q\\\"\": 4}");
    const struct json_node *to =
        json_member(json_member(d.root, "routes")->first->first->first, "to");

    expect_path(d.root, "");
    expect_path(to, "routes[\"api.example.com\"].paths[\"/v1/\"].to");
    expect_path(to->first, "routes[\"api.example.com\"].paths[\"/v1/\"].to[0]");
    expect_path(to->first->next->first, "routes[\"api.example.com\"].paths[\"/v1/\"].to[1].a_9");
    expect_path(json_member(d.root, "9x"), "[\"9x\"]");
    expect_path(json_member(d.root, "q\""), "[\"q\\\"\"]");
    json_document_clear(&d);
}

Test(json, comments_are_left_out)
{
    struct json_document d = read_good("{\"//\": 1, \"// no\": {\"a\": [1]}, \"//\": [],\n"
                                       "\"\\/\\/\": 0, \"a\": {\"//x\": 2, \"b\": 3}}");

    cr_expect_eq(json_object_size(d.value), 1);
    cr_expect_eq(d.root->first->next, NULL);
    cr_expect_eq(json_object_size(json_member(d.root, "a")->value), 1);
    cr_expect_eq(json_integer_value(json_member(json_member(d.root, "a"), "b")->value), 3);
    json_document_clear(&d);
}

Test(json, duplicates_are_all_kept)
{
    struct json_document d =
        read_good("{\"a\": {\"x\": 1},\n\"b\": 2,\n\"\\u0061\": {\"x\": [3]}, \"a\": 4}");
    const struct json_node *first = d.root->first, *second = first->next->next;

    cr_expect(first->is_repeated);
    cr_expect_eq(first->repeats_line, 0);
    cr_expect_eq(json_integer_value(first->first->value), 1);
    cr_expect(second->is_repeated);
    cr_expect_eq(second->repeats_line, 1);
    cr_expect_eq(json_integer_value(second->first->first->value), 3);
    cr_expect_eq(second->next->repeats_line, 3);
    cr_expect_eq(json_member(d.root, "a"), second->next);
    cr_expect_eq(json_integer_value(second->next->value), 4);
    json_document_clear(&d);
}

Test(json, any_value_can_be_the_document)
{
    const char *const texts[] = {"1", "\"x\"", "null", "[]", " {} \n", "-0", "0.5", "1E+2"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json_document d = read_good(texts[i]);
        json_document_clear(&d);
    }
}

Test(json, mistakes_of_structure)
{
    expect_mistake("", 1, 1, "empty");
    expect_mistake(" \n ", 2, 2, "empty");
    expect_mistake("{\n\"a\": 1,\n}", 2, 7, "nothing follows");
    expect_mistake("[1, 2,]", 1, 6, "nothing follows");
    expect_mistake("{\"a\" 1}", 1, 6, "\":\" behind the key");
    expect_mistake("{\"a\": 1\n\"b\": 2}", 2, 1, "\",\" or \"}\"");
    expect_mistake("[1 2]", 1, 4, "\",\" or \"]\"");
    expect_mistake("{\"a\":", 1, 6, "ends here");
    expect_mistake("{\"a\": {", 1, 8, "ends here");
    expect_mistake("{} x", 1, 4, "follows the end");
    expect_mistake("{a: 1}", 1, 2, "double quotes: \"a\"");
    expect_mistake("{'a': 1}", 1, 2, "not single ones");
    expect_mistake("{\"a\": 'x'}", 1, 7, "not single ones");
    expect_mistake("{\n// x\n\"a\": 1}", 2, 1, "no comments");
    expect_mistake("{\"a\": 1 /* x */}", 1, 9, "no comments");
    expect_mistake("{\"a\": 1}\n# x", 2, 1, "follows the end");
    expect_mistake("{,}", 1, 2, "a key");
    expect_mistake("]", 1, 1, "a value");
    expect_mistake("\xef\xbb\xbf{}", 1, 1, "byte order mark");
}

Test(json, mistakes_of_words_and_numbers)
{
    expect_mistake("[True]", 1, 2, "lower case");
    expect_mistake("[nul]", 1, 2, "nul");
    expect_mistake("[localhost:80]", 1, 2, "double quotes");
    expect_mistake("[01]", 1, 2, "01 is not a number");
    expect_mistake("[1.]", 1, 2, "1. is not a number");
    expect_mistake("[.5]", 1, 2, "a value");
    expect_mistake("[+1]", 1, 2, "a value");
    expect_mistake("[-]", 1, 2, "not a number");
    expect_mistake("[10s]", 1, 2, "take quotes");
    expect_mistake("[1e]", 1, 2, "not a number");
    expect_mistake("[NaN]", 1, 2, "NaN");
    expect_mistake("{\"a\":\n 99999999999999999999}", 2, 21, "integer");
    expect_mistake("[\x01]", 1, 2, "0x01");
}

Test(json, mistakes_of_strings)
{
    expect_mistake("{\n \"a\": \"x\n}", 2, 7, "no closing quote");
    expect_mistake("[\"abc", 1, 2, "no closing quote");
    expect_mistake("[\"a\tb\"]", 1, 4, "control character (0x09)");
    expect_mistake("[\"a\\x\"]", 1, 4, "no such escape");
    expect_mistake("[\"\\u12g4\"]", 1, 3, "four hexadecimal");
    expect_mistake("[\"\\u00", 1, 3, "four hexadecimal");
    expect_mistake("[\"\\u0000\"]", 1, 3, "\\u0000");
    expect_mistake("[\"\\ud800x\"]", 1, 3, "surrogate");
    expect_mistake("[\"\\udc00\"]", 1, 3, "surrogate");
    expect_mistake("[\"\\ud800\\ud800\"]", 1, 3, "surrogate");
    expect_mistake("[\"\\", 1, 3, "no such escape");
    expect_bytes_mistake(slice_make("[\"a\0b\"]", 7), 1, 4, "control character (0x00)");
    expect_bytes_mistake(slice_make("[\"\\\0\"]", 6), 1, 3, "no such escape");
}

Test(json, only_utf8_is_read)
{
    const char *const bad[] = {"\xff",
                               "\xc0\xaf",
                               "\xc3",
                               "\xe0\x80\xaf",
                               "\xed\xa0\x80",
                               "\xf4\x90\x80\x80",
                               "\xf8\x88\x80\x80\x80",
                               "\x80",
                               "\xf0\x80\x80\xaf"};
    char text[32];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "[\"%s\"]", bad[i]);
        expect_mistake(text, 1, 3, "not UTF-8");
    }
    struct json_document d = read_good("[\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf\"]");
    json_document_clear(&d);
}

Test(json, depth_is_bounded)
{
    char text[4 * JSON_DEPTH_MAX] = "";

    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        strcat(text, "[");
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        strcat(text, "]");
    struct json_document d = read_good(text);
    json_document_clear(&d);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    expect_mistake(text, 1, JSON_DEPTH_MAX + 1, "deeper");
}

/* A scanner that reads beyond its text would be seen by the sanitizer here. */
Test(json, every_prefix_is_a_mistake)
{
    const char whole[] = "{\"a\\u0062\": [1.5e+3, true, {\"\xc3\xa9\": null, \"\\ud83d\\ude00\": "
                         "\"x\\n\"}]}";
    struct json_mistake mistake;

    for (size_t length = 0; length + 1 < sizeof(whole) - 1; length++) {
        struct json_document document;
        char *prefix = malloc(length + 1);
        memcpy(prefix, whole, length);
        cr_expect_not(json_document_read(&document, slice_make(prefix, length), &mistake));
        free(prefix);
    }
    struct json_document d = read_good(whole);
    json_document_clear(&d);
}

Test(json, kinds_have_names)
{
    struct json_document d = read_good("[{}, [], \"\", 1, 1.5, true, false, null]");
    const char *const names[] = {"an object", "a list", "a string", "a number",
                                 "a number",  "true",   "false",    "null"};
    int i = 0;

    for (const struct json_node *node = d.root->first; node; node = node->next)
        cr_expect_str_eq(json_kind_name(node->value), names[i++]);
    json_document_clear(&d);
}
