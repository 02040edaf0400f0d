/* PROXY protocol headers: one reading or none, however they are cut. */
#include "net/proxy_protocol.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(proxy_protocol, .timeout = 240);

/* --- asking the parser --------------------------------------------------------------------------
 */

struct answer {
    enum proxy_parse parse;
    enum proxy_problem problem;
    size_t length;
    struct proxy_header header;
};

/* From memory that ends where the bytes end, so that a sanitizer sees a read beyond. */
static struct answer parse(struct slice bytes)
{
    struct answer answer = {.parse = PROXY_BAD};
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);

    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    answer.parse = proxy_header_parse(slice_make(copy, bytes.len), &answer.header, &answer.length,
                                      &answer.problem);
    free(copy);
    return answer;
}

/* "192.0.2.1:1 > 192.0.2.2:2", "own", "more", or the word of the problem. */
static const char *words(const struct answer *answer, char text[300])
{
    char source[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE];

    if (answer->parse == PROXY_MORE)
        return "more";
    if (answer->parse == PROXY_BAD)
        return proxy_problem_word(answer->problem);
    if (!answer->header.names_ends)
        return "own";
    address_format(&answer->header.source, source);
    address_format(&answer->header.destination, destination);
    snprintf(text, 300, "%s > %s", source, destination);
    return text;
}

/* Of a header that is whole: every piece of it asks for more, and what follows changes nothing. */
static void expect_whole(struct slice header, const char *name)
{
    char longer[PROXY_HEADER_BYTES_MAX + 300], text[300], again[300];
    struct answer whole = parse(header);

    cr_expect_eq(whole.length, header.len, "%s: %zu of %zu bytes", name, whole.length, header.len);
    for (size_t cut = 0; cut < header.len; cut++) {
        struct answer part = parse(slice_make(header.at, cut));
        cr_expect_eq(part.parse, PROXY_MORE, "%s: cut at %zu", name, cut);
    }
    memcpy(longer, header.at, header.len);
    memset(longer + header.len, 'P', 200);
    struct answer followed = parse(slice_make(longer, header.len + 200));
    cr_expect_eq(followed.length, header.len, "%s", name);
    cr_expect_str_eq(words(&followed, text), words(&whole, again), "%s", name);
}

/* Of bytes that are none: that stays so with more behind them, and every piece that asks for more
 * is one that could still become a header. */
static void expect_refused(struct slice bytes, const char *word, const char *name)
{
    char longer[PROXY_HEADER_BYTES_MAX + 300], text[300];
    bool was_refused = false;

    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct answer part = parse(slice_make(bytes.at, cut));
        cr_expect(part.parse != PROXY_DONE, "%s: whole at %zu", name, cut);
        cr_expect(!was_refused || part.parse == PROXY_BAD, "%s: forgiven at %zu", name, cut);
        was_refused = part.parse == PROXY_BAD;
    }
    memcpy(longer, bytes.at, bytes.len);
    memset(longer + bytes.len, '\n', 200);
    struct answer followed = parse(slice_make(longer, bytes.len + 200));
    cr_expect_str_eq(words(&followed, text), word, "%s", name);
}

static void expect(struct slice bytes, const char *wanted, const char *name)
{
    char text[300];
    struct answer answer = parse(bytes);

    cr_expect_str_eq(words(&answer, text), wanted, "%s: %s, not %s", name, words(&answer, text),
                     wanted);
    if (answer.parse == PROXY_DONE)
        expect_whole(bytes, name);
    else if (answer.parse == PROXY_BAD)
        expect_refused(bytes, wanted, name);
}

/* --- version 1 ----------------------------------------------------------------------------------
 */

#define V1_LONGEST                                                              \
    "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 ..............." \
    "................................"

static const struct {
    const char *line, *wanted;
} lines[] = {
    {"", "more"},
    {"P", "more"},
    {"PROXY", "more"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10", "more"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r", "more"},
    {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1:56324 > 192.0.2.2:443"},
    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
     "255.255.255.255:65535 > 255.255.255.255:65535"},
    {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 > 0.0.0.0:0"},
    {"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "[2001:db8::1]:1 > [::1]:65535"},
    {"PROXY TCP6 2001:DB8:0:0:0:0:0:1 0::1 1 2\r\n", "[2001:db8::1]:1 > [::1]:2"},
    {"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 :: 1 2\r\n", "[2001:db8::1]:1 > [::]:2"},
    {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
     "[::ffff:192.0.2.1]:1 > [::ffff:192.0.2.2]:2"},
    {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > "
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {"PROXY UNKNOWN\r\n", "own"},
    {"PROXY UNKNOWN \r\n", "own"},
    {"PROXY UNKNOWN whatever it is  \t\r\n", "own"},
    {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "own"},
    {V1_LONGEST "\r\n", "own"},
    {V1_LONGEST ".\r\n", "too_long"},
    {V1_LONGEST, "more"},
    {V1_LONGEST ".", "too_long"},
    {"PROXY UNKNOWN ..................................................................."
     "..........................................................................\r\n",
     "too_long"},
    /* no header at all */
    {"G", "no_header"},
    {"GET / HTTP/1.1\r\n", "no_header"},
    {"p", "no_header"},
    {"Proxy TCP4", "no_header"},
    {"PROXYTCP4", "no_header"},
    {"PROXY\tTCP4", "no_header"},
    {"PROXY\r\n", "no_header"},
    {"POST / HTTP/1.1\r\n", "no_header"},
    {" PROXY TCP4", "no_header"},
    {"\n", "no_header"},
    {"\r\nPROXY", "no_header"},
    {"\x16\x03\x01\x02\x01\x01", "no_header"},
    /* spaces and line ends */
    {"PROXY \r\n", "malformed"},
    {"PROXY  TCP4 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4  5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8  9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9  10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10 \r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\t\r\n", "malformed"},
    {"PROXY\x20TCP4\t1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4,5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\rX", "malformed"},
    {"PROXY TCP4 1.2.3.4\r 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY UNKNOWN\n", "malformed"},
    {"PROXY UNKNOWN a\nb\r\n", "malformed"},
    {"PROXY UNKNOWN a\rb\r\n", "malformed"},
    /* what is missing */
    {"PROXY TCP4\r\n", "malformed"},
    {"PROXY TCP4 \r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 \r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8  \r\n", "malformed"},
    /* families */
    {"PROXY TCP 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP5 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY tcp4 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY UNIX /a /b\r\n", "malformed"},
    {"PROXY UNKNOWNX\r\n", "malformed"},
    {"PROXY unknown\r\n", "malformed"},
    {"PROXY UNKNOW\r\n", "malformed"},
    {"PROXY TCP4 ::1 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.4 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP6 ::1 5.6.7.8 9 10\r\n", "malformed"},
    /* addresses */
    {"PROXY TCP4 01.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.004 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.256 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4.5 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3. 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 0x1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 +1.2.3.4 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 16909060 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 localhost 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4:9 5.6.7.8:10 9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4/8 5.6.7.8 9 10\r\n", "malformed"},
    {"PROXY TCP6 [::1] [::1] 9 10\r\n", "malformed"},
    {"PROXY TCP6 fe80::1%lo ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 ::1:: ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 1:2:3:4:5:6:7 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 12345::1 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 g::1 ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 : ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 ::1: ::1 9 10\r\n", "malformed"},
    {"PROXY TCP6 ::01.2.3.4 ::1 9 10\r\n", "malformed"},
    /* ports */
    {"PROXY TCP4 1.2.3.4 5.6.7.8 65536 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 99999 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 100000 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 18446744073709551625 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9 00\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 -9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 9x 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 0x9 10\r\n", "malformed"},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 https 10\r\n", "malformed"},
};

Test(proxy_protocol, lines)
{
    cr_assert_eq(strlen(V1_LONGEST "\r\n"), 107);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect(slice_of(lines[i].line), lines[i].wanted, lines[i].line);
}

Test(proxy_protocol, a_nul_is_no_part_of_a_line)
{
    static const struct slice bad[] = {
        {"PROXY TCP4 1.2.3.4\0 5.6.7.8 9 10\r\n", 34},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 9\0 10\r\n", 34},
        {"PROXY\0TCP4 1.2.3.4 5.6.7.8 9 10\r\n", 33},
        {"PROXY TCP4\0 1.2.3.4 5.6.7.8 9 10\r\n", 34},
    };

    for (size_t i = 0; i < 4; i++)
        expect(bad[i], i == 2 ? "no_header" : "malformed", "a NUL");
}

/* --- version 2 ----------------------------------------------------------------------------------
 */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_ENDS   "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"
#define V4_WORDS  "192.0.2.1:56324 > 192.0.2.2:443"
#define V6_ENDS                                                        \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\x01\x00\x01\xff\xff"
#define V6_WORDS  "[2001:db8::1]:1 > [::1]:65535"
#define ZEROS_36  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define UNIX_ENDS ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36

#define V2(rest, wanted)                                            \
    {                                                               \
        {SIGNATURE rest, sizeof(SIGNATURE rest) - 1}, wanted, #rest \
    }

static const struct {
    struct slice bytes;
    const char *wanted, *name;
} binary[] = {
    /* whose connection it is */
    V2("\x21\x11\x00\x0c" V4_ENDS, V4_WORDS),
    V2("\x21\x21\x00\x24" V6_ENDS, V6_WORDS),
    /* the proxy speaks for itself, whatever else it says */
    V2("\x20\x00\x00\x00", "own"),
    V2("\x20\x11\x00\x0c" V4_ENDS, "own"),
    V2("\x20\xff\x00\x03zzz", "own"),
    V2("\x20\x00\x00\x01\x03", "own"),
    /* nothing that the gateway could use: as if it were unspecified */
    V2("\x21\x00\x00\x00", "own"),
    V2("\x21\x00\x00\x05zzzzz", "own"),
    V2("\x21\x12\x00\x0c" V4_ENDS, "own"),
    V2("\x21\x22\x00\x24" V6_ENDS, "own"),
    V2("\x21\x31\x00\xd8" UNIX_ENDS, "own"),
    V2("\x21\x32\x00\xd8" UNIX_ENDS, "own"),
    /* families and transports of which the protocol knows nothing */
    V2("\x21\x01\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\x02\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\x10\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\x13\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\x20\x00\x24" V6_ENDS, "malformed"),
    V2("\x21\x2f\x00\x24" V6_ENDS, "malformed"),
    V2("\x21\x30\x00\xd8" UNIX_ENDS, "malformed"),
    V2("\x21\x41\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\xf1\x00\x0c" V4_ENDS, "malformed"),
    /* versions and commands */
    V2("\x22", "malformed"),
    V2("\x2f", "malformed"),
    V2("\x11", "malformed"),
    V2("\x31", "malformed"),
    V2("\x01", "malformed"),
    V2("\x00", "malformed"),
    V2("", "more"),
    V2("\x21", "more"),
    V2("\x21\x11\x00", "more"),
    V2("\x21\x11\x00\x0c" V4_ENDS "", V4_WORDS),
    /* lengths */
    V2("\x21\x11\x00\x0b\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01", "malformed"),
    V2("\x21\x11\x00\x00", "malformed"),
    V2("\x21\x12\x00\x00", "malformed"),
    V2("\x21\x21\x00\x0c" V4_ENDS, "malformed"),
    V2("\x21\x31\x00\x24" ZEROS_36, "malformed"),
    V2("\x21\x11\x0f\xf1", "too_long"),
    V2("\x21\x11\xff\xff", "too_long"),
    V2("\x20\x00\x0f\xf1", "too_long"),
    V2("\x21\x11\x0f\xf0", "more"),
    /* extensions */
    V2("\x21\x11\x00\x0f" V4_ENDS "\x04\x00\x00", V4_WORDS),
    V2("\x21\x11\x00\x12" V4_ENDS "\x04\x00\x03zzz", V4_WORDS),
    V2("\x21\x11\x00\x1d" V4_ENDS "\x01\x00\x02h2\x02\x00\x08"
       "a.test..\xea",
       "malformed"),
    V2("\x21\x11\x00\x1c" V4_ENDS "\x01\x00\x02h2\x02\x00\x08"
       "a.test..",
       V4_WORDS),
    V2("\x21\x11\x00\x0d" V4_ENDS "\x04", "malformed"),
    V2("\x21\x11\x00\x0e" V4_ENDS "\x04\x00", "malformed"),
    V2("\x21\x11\x00\x0f" V4_ENDS "\x04\x00\x01", "malformed"),
    V2("\x21\x11\x00\x11" V4_ENDS "\x04\xff\xffzz", "malformed"),
    V2("\x21\x21\x00\x27" V6_ENDS "\x04\x00\x01", "malformed"),
    V2("\x21\x12\x00\x0f" V4_ENDS "\x04\x00\x01", "malformed"),
    /* checksums */
    V2("\x21\x11\x00\x13" V4_ENDS "\x03\x00\x04\x00\x00\x00\x00", "checksum"),
    V2("\x21\x11\x00\x12" V4_ENDS "\x03\x00\x03\x00\x00\x00", "malformed"),
    V2("\x21\x11\x00\x0f" V4_ENDS "\x03\x00\x00", "malformed"),
};

Test(proxy_protocol, binary_headers)
{
    for (size_t i = 0; i < sizeof(binary) / sizeof(binary[0]); i++)
        expect(binary[i].bytes, binary[i].wanted, binary[i].name);
}

/* Each byte of what tells it apart counts, and it is told at that byte. */
Test(proxy_protocol, every_byte_of_the_signature_counts)
{
    char bytes[28] = SIGNATURE "\x21\x11\x00\x0c" V4_ENDS;

    for (size_t i = 0; i < 12; i++) {
        bytes[i] ^= 0x20;
        cr_expect_eq(parse(slice_make(bytes, i)).parse, PROXY_MORE);
        struct answer answer = parse(slice_make(bytes, i + 1));
        cr_expect_eq(answer.parse, PROXY_BAD, "byte %zu", i);
        cr_expect_eq(answer.problem, PROXY_NO_HEADER);
        bytes[i] ^= 0x20;
    }
}

/* Any version, command, family and transport: the six that say something, LOCAL, and no others. */
Test(proxy_protocol, every_command_and_family)
{
    char bytes[16 + 216] = SIGNATURE;
    int whole = 0;

    bytes[15] = (char)216;
    for (int command = 0; command < 256; command++) {
        for (int family = 0; family < 256; family++) {
            bytes[12] = (char)command;
            bytes[13] = (char)family;
            struct answer answer = parse(slice_make(bytes, sizeof(bytes)));
            whole += answer.parse == PROXY_DONE;
        }
    }
    /* What is behind the ends of IP families, zeros, are whole extensions of length 0. */
    cr_expect_eq(whole, 256 + 7);
}

/* The longest that is taken, filled with extensions, and its checksum. */
Test(proxy_protocol, checksum_of_the_longest)
{
    static char bytes[PROXY_HEADER_BYTES_MAX] =
        SIGNATURE "\x21\x11\x0f\xf0" V4_ENDS "\x03\x00\x04\0\0\0\0\x04\x0f\xda";
    size_t place = 16 + 12 + 3;

    memset(bytes + 38, 'z', sizeof(bytes) - 38);
    uint32_t crc = proxy_crc32c(0, slice_make(bytes, sizeof(bytes)));
    for (int i = 0; i < 4; i++)
        bytes[place + (size_t)i] = (char)(crc >> (24 - 8 * i));
    expect(slice_make(bytes, sizeof(bytes)), V4_WORDS, "the longest");
    for (size_t at = 16; at < sizeof(bytes); at += 13) {
        bytes[at] ^= 1;
        struct answer answer = parse(slice_make(bytes, sizeof(bytes)));
        cr_expect_eq(answer.parse, PROXY_BAD, "byte %zu", at);
        bytes[at] ^= 1;
    }
}

Test(proxy_protocol, two_checksums_are_one_too_many)
{
    char bytes[] = SIGNATURE "\x21\x11\x00\x1a" V4_ENDS "\x03\x00\x04\0\0\0\0\x03\x00\x04\0\0\0\0";
    uint32_t crc = proxy_crc32c(0, slice_make(bytes, sizeof(bytes) - 1));

    for (int i = 0; i < 4; i++)
        bytes[31 + i] = (char)(crc >> (24 - 8 * i));
    expect(slice_make(bytes, sizeof(bytes) - 1), "malformed", "two of them");
}

/* RFC 3720 appendix B.4. */
Test(proxy_protocol, crc32c_of_known_bytes)
{
    char bytes[32] = "";

    cr_expect_eq(proxy_crc32c(0, slice_make(bytes, 32)), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    cr_expect_eq(proxy_crc32c(0, slice_make(bytes, 32)), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (char)i;
    cr_expect_eq(proxy_crc32c(0, slice_make(bytes, 32)), 0x46dd794e);
    uint32_t half = proxy_crc32c(0, slice_make(bytes, 13));
    cr_expect_eq(proxy_crc32c(half, slice_make(bytes + 13, 19)), 0x46dd794e);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void write_and_read(const char *source, const char *destination, const char *wanted)
{
    struct proxy_header header = {.names_ends = true};
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];

    cr_assert(address_parse_ip(slice_of(source), 56324, &header.source));
    cr_assert(address_parse_ip(slice_of(destination), 443, &header.destination));
    size_t length = proxy_header_write_v2(&header, bytes);
    expect(slice_make(bytes, length), wanted, source);
}

Test(proxy_protocol, what_is_written_is_read)
{
    write_and_read("192.0.2.1", "192.0.2.2", V4_WORDS);
    write_and_read("::ffff:192.0.2.1", "192.0.2.2", V4_WORDS);
    write_and_read("::ffff:192.0.2.1", "::ffff:192.0.2.2", V4_WORDS);
    write_and_read("2001:db8::1", "::1", "[2001:db8::1]:56324 > [::1]:443");
    write_and_read("192.0.2.1", "::1", "[::ffff:192.0.2.1]:56324 > [::1]:443");
    write_and_read("2001:db8::1", "192.0.2.2", "[2001:db8::1]:56324 > [::ffff:192.0.2.2]:443");
}

Test(proxy_protocol, no_ends_are_written_as_local)
{
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];
    size_t length = proxy_header_write_v2(&(struct proxy_header){.names_ends = false}, bytes);

    cr_assert_eq(length, 16);
    cr_expect_arr_eq(bytes, SIGNATURE "\x20\0\0\0", 16);
}
