#include "bad_backend.h"

#include "workplace.h"

#include <stdio.h>
#include <string.h>

#define HEAD    "HTTP/1.1 200 OK\r\n"
#define LENGTH  HEAD "Content-Length: 8\r\n\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define OK      HEAD "Content-Length: 2\r\n\r\nok"

enum bad_end { KEEPS, CLOSES, RESETS, HANGS };

static const struct way {
    const char *path;
    const char *raw;  /* what it says, ... */
    enum bad_end end; /* ... and what it does then */
    int status;       /* 200: "ok", or, if is_cut, less than was promised */
    bool is_cut;
    bool is_early; /* it speaks when half of the body has come */
} ways[] = {
    {"/bad/silent", "", HANGS, 504, false, false},
    {"/bad/gone", "", CLOSES, 502, false, false},
    {"/bad/reset", "", RESETS, 502, false, false},
    {"/bad/half-head", "HTTP/1.1 200 OK\r\nContent-Le", CLOSES, 502, false, false},
    {"/bad/half-head-reset", "HTTP/1.1 200 OK\r\nContent-Le", RESETS, 502, false, false},
    {"/bad/half-head-silent", "HTTP/1.1 200 OK\r\nContent-Le", HANGS, 504, false, false},
    {"/bad/no-http", "220 mail.test ESMTP\r\n\r\n", KEEPS, 502, false, false},
    {"/bad/two-lengths", HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", KEEPS, 502, false,
     false},
    {"/bad/both-framings",
     HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", KEEPS, 502,
     false, false},
    {"/bad/half-body", LENGTH "half", CLOSES, 200, true, false},
    {"/bad/half-body-reset", LENGTH "half", RESETS, 200, true, false},
    {"/bad/half-body-silent", LENGTH "half", HANGS, 200, true, false},
    {"/bad/half-chunk", CHUNKED "8\r\nhalf", CLOSES, 200, true, false},
    {"/bad/half-chunk-reset", CHUNKED "8\r\nhalf", RESETS, 200, true, false},
    {"/bad/no-last-chunk", CHUNKED "4\r\nhalf\r\n", CLOSES, 200, true, false},
    {"/bad/wrong-chunk", CHUNKED "4\r\nhalf\r\nzz\r\n", KEEPS, 200, true, false},
    {"/bad/twice", OK OK, KEEPS, 200, false, false},
    {"/bad/more-than-said", OK "and more than that", KEEPS, 200, false, false},
    {"/bad/early", OK, KEEPS, 200, false, true},
    {"/bad/early-and-gone", OK, CLOSES, 200, false, true},
    {"/bad/early-and-silent", OK, HANGS, 200, false, true},
};

const unsigned bad_backend_ways = sizeof ways / sizeof ways[0];

enum { BODY = 64 * 1024 };

/* --- the backend's side --------------------------------------------------------------------------
 */

static void go_wrong(struct origin_turn *turn)
{
    const struct way *way = turn->arg;

    if (!way->is_early && !origin_read_body(turn)) {
        turn->is_closing = true;
        return;
    }
    wire_write(turn->wire, way->raw, strlen(way->raw));
    turn->is_closing = way->end != KEEPS;
    if (way->end == RESETS)
        wire_reset(turn->wire);
    while (way->end == HANGS && wire_fill(turn->wire))
        wire_take(turn->wire, wire_held(turn->wire));
}

void bad_backend_add(struct origin *origin)
{
    for (unsigned i = 0; i < bad_backend_ways; i++)
        origin_set_script(origin, ways[i].path, go_wrong, (void *)(size_t)&ways[i]);
}

/* --- the client's side ---------------------------------------------------------------------------
 */

/* With a body the second half comes after the answer, or never. */
static bool ask(struct client *client, const char *host, const struct way *way)
{
    static char body[BODY / 2];

    if (!way->is_early)
        return wire_print(&client->wire, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", way->path, host);
    return wire_print(&client->wire, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n",
                      way->path, host, BODY) &&
           wire_write(&client->wire, body, sizeof body);
}

/* A reset may overtake what was said before it. */
static bool is_allowed(const struct way *way, const struct message *response)
{
    if (response->status == 502 && way->end == RESETS)
        return response->is_complete;
    if (response->status != way->status || response->is_complete == way->is_cut)
        return false;
    return way->is_cut || way->status != 200 ||
           (response->body != NULL && strcmp(response->body, "ok") == 0);
}

bool bad_backend_visit(struct client *client, const char *host, unsigned n)
{
    const struct way *way = &ways[n % bad_backend_ways];
    struct message *response = message_make();
    bool goes_on = false;

    if (!ask(client, host, way) || !message_read_head(&client->wire, response, false)) {
        workplace_note("%s: no answer", way->path);
    } else {
        message_read_body(&client->wire, response, "GET");
        if (!is_allowed(way, response))
            workplace_note("%s: status %d, %s, '%.100s'", way->path, response->status,
                           response->is_complete ? "whole" : "cut",
                           response->body != NULL ? response->body : "");
        goes_on = response->is_complete && !way->is_early &&
                  message_field(response, "connection") == NULL;
    }
    message_free(response);
    return goes_on;
}
