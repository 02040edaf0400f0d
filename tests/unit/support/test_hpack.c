/* HPACK as other tests rely on it: RFC 7541 appendix C byte by byte, what must be refused, and the
 * same meaning as nghttp2's. */
#include "support/hpack.h"

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hpack_decoder decoder;
static char *seen; /* "name: value\n" of each field */

static void set_up(void)
{
    hpack_decoder_init(&decoder);
}

static void clear(void)
{
    hpack_decoder_clear(&decoder);
    free(seen);
    seen = NULL;
}

TestSuite(hpack, .init = set_up, .fini = clear);

static struct hpack_bytes from_hex(const char *hex)
{
    struct hpack_bytes bytes = {.at = NULL};
    unsigned byte;
    int used;

    while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
        hpack_put_byte(&bytes, (uint8_t)byte);
        hex += used;
    }
    return bytes;
}

static void take(void *arg, const struct hpack_entry *field, enum hpack_form form)
{
    (void)form;
    fprintf(arg, "%s: %s\n", field->name, field->value);
}

static const char *decode_bytes(const void *bytes, size_t length)
{
    size_t written;

    free(seen);
    FILE *out = open_memstream(&seen, &written);
    const char *problem = hpack_decode(&decoder, bytes, length, take, out);
    fclose(out);
    return problem;
}

static const char *decode(const char *hex)
{
    struct hpack_bytes bytes = from_hex(hex);
    const char *problem = decode_bytes(bytes.at, bytes.length);

    hpack_bytes_clear(&bytes);
    return problem;
}

static void expect_fields(const char *hex, const char *fields, size_t table_size)
{
    const char *problem = decode(hex);

    cr_assert_null(problem, "%s: %s", hex, problem);
    cr_expect_str_eq(seen, fields, "%s: %s", hex, seen);
    cr_expect_eq(decoder.size, table_size, "%s: the table's size is %zu", hex, decoder.size);
}

static void expect_problem(const char *hex, const char *section)
{
    const char *problem = decode(hex);

    cr_assert_not_null(problem, "%s is accepted", hex);
    cr_expect_eq(strncmp(problem, section, strlen(section)), 0, "%s: %s", hex, problem);
    hpack_decoder_clear(&decoder);
}

static void expect_bytes(struct hpack_bytes *bytes, const char *hex)
{
    struct hpack_bytes expected = from_hex(hex);

    cr_assert_eq(bytes->length, expected.length, "%s: %zu bytes", hex, bytes->length);
    cr_expect_eq(memcmp(bytes->at, expected.at, expected.length), 0, "not %s", hex);
    hpack_bytes_clear(&expected);
    hpack_bytes_clear(bytes);
}

/* --- appendix C ----------------------------------------------------------------------------- */

Test(hpack, integers_of_the_rfc)
{
    struct hpack_bytes out = {.at = NULL};

    hpack_put_integer(&out, 0, 5, 10);
    expect_bytes(&out, "0a");
    hpack_put_integer(&out, 0, 5, 1337);
    expect_bytes(&out, "1f 9a 0a");
    hpack_put_integer(&out, 0, 8, 42);
    expect_bytes(&out, "2a");
}

Test(hpack, representations_of_the_rfc)
{
    expect_fields("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                  "custom-key: custom-header\n", 55);
    clear();
    expect_fields("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", 0);
    expect_fields("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret\n", 0);
    cr_expect_eq(decoder.never_indexed, 1);
    expect_fields("82", ":method: GET\n", 0);
}

#define REQUEST_1                             \
    ":method: GET\n:scheme: http\n:path: /\n" \
    ":authority: www.example.com\n"
#define REQUEST_2 REQUEST_1 "cache-control: no-cache\n"
#define REQUEST_3                                        \
    ":method: GET\n:scheme: https\n:path: /index.html\n" \
    ":authority: www.example.com\ncustom-key: custom-value\n"

Test(hpack, requests_of_the_rfc)
{
    expect_fields("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUEST_1, 57);
    expect_fields("8286 84be 5808 6e6f 2d63 6163 6865", REQUEST_2, 110);
    expect_fields("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                  REQUEST_3, 164);
    cr_expect_eq(decoder.insertions, 3);
    cr_expect_eq(decoder.dynamic_uses, 2);
}

Test(hpack, requests_of_the_rfc_with_huffman_code)
{
    expect_fields("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUEST_1, 57);
    expect_fields("8286 84be 5886 a8eb 1064 9cbf", REQUEST_2, 110);
    expect_fields("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUEST_3, 164);
}

#define DATE       "date: Mon, 21 Oct 2013 20:13:21 GMT\n"
#define LOCATION   "location: https://www.example.com\n"
#define RESPONSE_1 ":status: 302\ncache-control: private\n" DATE LOCATION
#define RESPONSE_2 ":status: 307\ncache-control: private\n" DATE LOCATION
#define RESPONSE_3                                                              \
    ":status: 200\ncache-control: private\n"                                    \
    "date: Mon, 21 Oct 2013 20:13:22 GMT\n" LOCATION "content-encoding: gzip\n" \
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"

/* The table has 256 bytes there, so that fields are evicted. */
static void shrink_table(void)
{
    hpack_decoder_limit(&decoder, 256);
    cr_assert_null(decode("3f e1 01"));
}

Test(hpack, responses_of_the_rfc)
{
    shrink_table();
    expect_fields("4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230"
                  "3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65"
                  "7861 6d70 6c65 2e63 6f6d",
                  RESPONSE_1, 222);
    expect_fields("4803 3330 37c1 c0bf", RESPONSE_2, 222);
    expect_fields("88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220"
                  "474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157"
                  "454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076"
                  "6572 7369 6f6e 3d31",
                  RESPONSE_3, 215);
    cr_expect_eq(decoder.count, 3);
}

Test(hpack, responses_of_the_rfc_with_huffman_code)
{
    shrink_table();
    expect_fields("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0"
                  "82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                  RESPONSE_1, 222);
    expect_fields("4883 640e ffc1 c0bf", RESPONSE_2, 222);
    expect_fields("88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b"
                  "d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27"
                  "0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                  RESPONSE_3, 215);
}

Test(hpack, fields_are_written_as_in_the_rfc)
{
    struct hpack_bytes out = {.at = NULL};
    struct hpack_field field = {
        .name = "custom-key", .value = "custom-header", .form = HPACK_INCREMENTAL};

    hpack_put_field(&out, &field);
    expect_bytes(&out, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572");
    field = (struct hpack_field){.name_index = hpack_static_index(":path", NULL),
                                 .value = "/sample/path"};
    hpack_put_field(&out, &field);
    expect_bytes(&out, "040c 2f73 616d 706c 652f 7061 7468");
    field =
        (struct hpack_field){.name = "password", .value = "secret", .form = HPACK_NEVER_INDEXED};
    hpack_put_field(&out, &field);
    expect_bytes(&out, "1008 7061 7373 776f 7264 0673 6563 7265 74");
    hpack_put_index(&out, hpack_static_index(":method", "GET"));
    expect_bytes(&out, "82");
    field = (struct hpack_field){.name = "custom-key",
                                 .value = "custom-value",
                                 .form = HPACK_INCREMENTAL,
                                 .is_huffman = true};
    hpack_put_field(&out, &field);
    expect_bytes(&out, "4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    hpack_put_table_size(&out, 256);
    expect_bytes(&out, "3f e1 01");
}

/* --- what is refused ------------------------------------------------------------------------ */

Test(hpack, indexes_and_integers_that_are_wrong)
{
    expect_problem("80", "6.1");
    expect_problem("be", "2.3.3");
    expect_problem("7f 00 01 61", "2.3.3");
    expect_problem("ff 80 80 80 80 80 80 01", "5.1");
    expect_problem("ff ff ff", "5.1");
}

Test(hpack, strings_that_are_wrong)
{
    expect_problem("00", "5.2");
    expect_problem("00 02 61", "5.2");
    expect_problem("00 01 61", "5.2");
    /* 'a' is 00011: padded with zeros; with a whole byte of ones; EOS; a code that is cut. */
    expect_problem("00 81 18 01 61", "5.2");
    expect_problem("00 82 1f ff 01 61", "5.2");
    expect_problem("00 84 ff ff ff fc 01 61", "5.2");
    expect_problem("00 81 fe 01 61", "5.2");
    cr_expect_null(decode("00 81 1f 01 61"));
    cr_expect_str_eq(seen, "a: a\n");
}

Test(hpack, changes_of_the_tables_size_that_are_wrong)
{
    expect_problem("82 20", "4.2");
    expect_problem("3f e2 1f", "6.3"); /* 4097 */
    hpack_decoder_limit(&decoder, 100);
    expect_problem("82", "4.2");
    hpack_decoder_limit(&decoder, 100);
    expect_problem("3f 46 82", "6.3"); /* 101 */
    hpack_decoder_limit(&decoder, 0);
    hpack_decoder_limit(&decoder, 4096);
    expect_problem("3f e1 1f 82", "4.2"); /* that it was 0 on the way is not said */
    hpack_decoder_limit(&decoder, 0);
    hpack_decoder_limit(&decoder, 4096);
    expect_fields("20 3f e1 1f 82", ":method: GET\n", 0);
    expect_fields("82", ":method: GET\n", 0);
}

Test(hpack, field_larger_than_the_table_empties_it)
{
    hpack_decoder_limit(&decoder, 40);
    expect_fields("3f 09 40 01 61 01 62", "a: b\n", 34);
    expect_fields("40 01 61 08 31 32 33 34 35 36 37 38", "a: 12345678\n", 0);
    cr_expect_eq(decoder.count, 0);
}

/* --- as nghttp2 has it ---------------------------------------------------------------------- */

enum { ROUNDS = 300, FIELDS = 6 };

static char names[FIELDS][16], values[FIELDS][256];

/* Few names and values, so that they come again; of all bytes. */
static void choose_fields(void)
{
    for (int i = 0; i < FIELDS; i++) {
        int length = rand() % 4 == 0 ? rand() % 200 : rand() % 3;
        snprintf(names[i], sizeof names[i], "x-%d", rand() % 8);
        for (int at = 0; at < length; at++)
            values[i][at] = (char)(1 + rand() % 255);
        values[i][length] = '\0';
    }
}

static char *text_of_fields(void)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    for (int i = 0; i < FIELDS; i++)
        fprintf(out, "%s: %s\n", names[i], values[i]);
    fclose(out);
    return text;
}

Test(hpack, what_nghttp2_writes_means_the_same)
{
    nghttp2_hd_deflater *deflater;
    nghttp2_nv fields[FIELDS];
    uint8_t block[8192];

    srand(1);
    cr_assert_eq(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    for (int round = 0; round < ROUNDS; round++) {
        choose_fields();
        for (int i = 0; i < FIELDS; i++)
            fields[i] = (nghttp2_nv){.name = (uint8_t *)names[i],
                                     .namelen = strlen(names[i]),
                                     .value = (uint8_t *)values[i],
                                     .valuelen = strlen(values[i])};
        if (round % 10 == 5) {
            size_t size = (size_t)(rand() % 4096);
            nghttp2_hd_deflate_change_table_size(deflater, size);
            hpack_decoder_limit(&decoder, size);
        }
        ssize_t length = nghttp2_hd_deflate_hd(deflater, block, sizeof block, fields, FIELDS);
        cr_assert_gt(length, 0);
        const char *problem = decode_bytes(block, (size_t)length);
        char *expected = text_of_fields();
        cr_assert_null(problem, "round %d: %s", round, problem);
        cr_assert_str_eq(seen, expected);
        free(expected);
    }
    cr_expect_gt(decoder.dynamic_uses, 100);
    cr_expect_gt(decoder.updates, 10);
    nghttp2_hd_deflate_del(deflater);
}

/* All that nghttp2 reads of a block, as text. */
static char *inflated(nghttp2_hd_inflater *inflater, const struct hpack_bytes *block)
{
    char *text = NULL;
    size_t length, at = 0;
    FILE *out = open_memstream(&text, &length);
    int flags = 0;

    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv field;
        ssize_t used =
            nghttp2_hd_inflate_hd2(inflater, &field, &flags, block->at + at, block->length - at, 1);
        cr_assert_geq(used, 0, "nghttp2 refuses: %s", nghttp2_strerror((int)used));
        at += (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            fprintf(out, "%s: %s\n", field.name, field.value);
    }
    nghttp2_hd_inflate_end_headers(inflater);
    fclose(out);
    return text;
}

Test(hpack, what_is_written_nghttp2_reads)
{
    nghttp2_hd_inflater *inflater;

    srand(2);
    cr_assert_eq(nghttp2_hd_inflate_new(&inflater), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct hpack_bytes block = {.at = NULL};

        choose_fields();
        if (round % 10 == 5)
            hpack_put_table_size(&block, (uint32_t)(rand() % 4096));
        for (int i = 0; i < FIELDS; i++)
            hpack_put_field(&block, &(struct hpack_field){.name = names[i],
                                                          .value = values[i],
                                                          .form = (enum hpack_form)(rand() % 3),
                                                          .is_huffman = rand() % 2});
        char *read = inflated(inflater, &block), *expected = text_of_fields();
        const char *problem = decode_bytes(block.at, block.length);
        cr_assert_str_eq(read, expected);
        cr_assert_null(problem, "round %d: %s", round, problem);
        cr_assert_str_eq(seen, expected);
        free(read);
        free(expected);
        hpack_bytes_clear(&block);
    }
    nghttp2_hd_inflate_del(inflater);
}
