/* The HTTP/2 client that other tests rely on: what a server may not do fails the test that sees it,
 * for the right reason. The server is a few bytes. */
#include "harness/h2_cases.h"
#include "harness/wire.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

E2E_SUITE(h2_judge);

static char zeros[70000];

enum { FRAMES = 8 };

struct judged {
    const char *words; /* in the failure; NULL: there is none */
    struct h2_frame frames[FRAMES];
};

#define SETTINGS                           \
    {                                      \
        .type = H2_SETTINGS, .payload = "" \
    }
#define HEAD(flags, block) SETTINGS, H2_FRAME(H2_HEADERS, H2_END_HEADERS | (flags), 1, "\x88" block)
#define DATA(flags, bytes) H2_FRAME(H2_DATA, flags, 1, bytes)
#define LONG(bytes)                                                       \
    {                                                                     \
        .type = H2_DATA, .stream = 1, .payload = zeros, .length = (bytes) \
    }

static const struct judged all[] = {
    {NULL, {HEAD(0, "\0\x01x\x01y"), DATA(H2_END_STREAM, "one")}},
    {NULL, {HEAD(H2_END_STREAM, "")}},
    {NULL,
     {HEAD(0, "\x0f\x0d\x01"
              "3"),
      DATA(H2_PADDED | H2_END_STREAM, "\x02one\0\0")}},
    {"3.4", {H2_FRAME(H2_PING, 0, 0, "12345678"), HEAD(H2_END_STREAM, "")}},
    {"4.2", {HEAD(0, ""), LONG(16385)}},
    {"5.1", {HEAD(H2_END_STREAM, ""), DATA(0, "x")}},
    {"5.1", {SETTINGS, H2_FRAME(H2_RST_STREAM, 0, 3, "\0\0\0\0")}},
    {"5.1",
     {SETTINGS, H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08"),
      H2_FRAME(H2_HEADERS, H2_END_HEADERS, 1, "\x88")}},
    {"6.1", {HEAD(0, ""), DATA(H2_PADDED, "\x05zzz")}},
    {"6.5.2", {H2_FRAME(H2_SETTINGS, 0, 0, "\0\x05\0\0\0\x01")}},
    {"6.5.2", {H2_FRAME(H2_SETTINGS, 0, 0, "\0\x02\0\0\0\x01")}},
    {"6.5.3",
     {SETTINGS,
      {.type = H2_SETTINGS, .flags = H2_ACK, .payload = ""},
      {.type = H2_SETTINGS, .flags = H2_ACK, .payload = ""}}},
    {"PUSH_PROMISE", {SETTINGS, H2_FRAME(H2_PUSH_PROMISE, H2_END_HEADERS, 1, "\0\0\0\x02\x88")}},
    {"6.8",
     {SETTINGS, H2_FRAME(H2_GOAWAY, 0, 0, "\0\0\0\x01\0\0\0\0"),
      H2_FRAME(H2_GOAWAY, 0, 0, "\0\0\0\x03\0\0\0\0")}},
    {"6.9:", {SETTINGS, H2_FRAME(H2_WINDOW_UPDATE, 0, 0, "\0\0\0\0")}},
    {"6.9.1", {SETTINGS, H2_FRAME(H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff")}},
    {"6.9: DATA", {HEAD(0, ""), LONG(16384), LONG(16384), LONG(16384), LONG(16384)}},
    {"6.10", {SETTINGS, H2_FRAME(H2_HEADERS, 0, 1, "\x88"), H2_FRAME(H2_PING, 0, 0, "12345678")}},
    {"6.10", {SETTINGS, H2_FRAME(H2_CONTINUATION, H2_END_HEADERS, 1, "\x88")}},
    {"8.1:", {SETTINGS, DATA(0, "x")}},
    {"8.1:", {HEAD(0, ""), H2_FRAME(H2_HEADERS, H2_END_HEADERS, 1, "\0\x01x\x01y")}},
    {"8.1.1",
     {HEAD(0, "\x0f\x0d\x01"
              "4"),
      DATA(H2_END_STREAM, "one")}},
    {"8.2.1", {HEAD(H2_END_STREAM, "\0\x01X\x01y")}},
    {"8.2.1", {HEAD(H2_END_STREAM, "\0\x01x\x02y ")}},
    {"8.2.1", {HEAD(H2_END_STREAM, "\0\x01x\x01\n")}},
    {"8.2.2",
     {HEAD(H2_END_STREAM, "\x0f\x2a\x07"
                          "chunked")}},
    {"8.3:", {HEAD(H2_END_STREAM, "\x88")}},
    {"8.3:", {SETTINGS, H2_FRAME(H2_HEADERS, H2_END_HEADERS, 1, "\0\x01x\x01y\x88")}},
    {"8.3.2", {SETTINGS, H2_FRAME(H2_HEADERS, H2_END_HEADERS, 1, "\0\x01x\x01y")}},
    {"RFC 7541", {HEAD(H2_END_STREAM, "\xbe")}},
    {"reset with CANCEL", {SETTINGS, H2_FRAME(H2_RST_STREAM, 0, 1, "\0\0\0\x08")}},
    {"does not come; the connection is closed", {SETTINGS}},
};

/* A request to that address, in a thread of its own, which a failure ends. */
static void *ask(void *address)
{
    const struct h2_options options = {
        .address = address, .is_plain = true, .withholds_windows = true};
    struct h2_client *client = h2_make(NULL, &options);
    struct h2_frame frame;

    workplace_require(client != NULL, "no connection");
    workplace_own(client, h2_free);
    h2_get(client, "/");
    while (h2_read_frame(client, &frame))
        continue;
    h2_expect_response(client, 1, 200);
    return NULL;
}

static void send_all(int fd, const struct judged *judged)
{
    struct hpack_bytes out = {.at = NULL};

    for (int i = 0; i < FRAMES && judged->frames[i].payload != NULL; i++) {
        const struct h2_frame *frame = &judged->frames[i];
        uint8_t head[9] = {(uint8_t)(frame->length >> 16),
                           (uint8_t)(frame->length >> 8),
                           (uint8_t)frame->length,
                           frame->type,
                           frame->flags,
                           0,
                           0,
                           0,
                           (uint8_t)frame->stream};
        hpack_put(&out, head, sizeof head);
        hpack_put(&out, frame->payload, frame->length);
    }
    cr_assert_eq(send(fd, out.at, out.length, MSG_NOSIGNAL), (ssize_t)out.length);
    shutdown(fd, SHUT_WR);
    hpack_bytes_clear(&out);
}

static void judge(const struct judged *judged, int place)
{
    char address[64], *note;
    int listener = wire_listen("127.0.0.1:0", address, sizeof address);
    pthread_t client;

    cr_assert_eq(pthread_create(&client, NULL, ask, address), 0);
    int fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    send_all(fd, judged);
    pthread_join(client, NULL);
    close(fd);
    close(listener);
    note = workplace_forgive();
    if (judged->words == NULL)
        cr_expect_null(note, "row %d: %s", place, note);
    else
        cr_expect(note != NULL && strstr(note, judged->words) != NULL, "row %d, %s: %s", place,
                  judged->words, note != NULL ? note : "nothing is noticed");
}

Test(h2_judge, servers_that_go_wrong)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        judge(&all[i], (int)i);
}
