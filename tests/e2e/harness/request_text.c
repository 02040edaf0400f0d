#include "request_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void forget_last(struct request_text *text)
{
    if (text->head != NULL)
        message_free(text->head);
    text->head = NULL;
    fields_clear(&text->trailers);
}

void request_text_clear(struct request_text *text)
{
    forget_last(text);
    free(text->held.in);
    memset(text, 0, sizeof *text);
}

void request_text_put(struct request_text *text, const void *bytes, size_t length)
{
    wire_put(&text->held, bytes, length);
}

/* Takes a line without its end; NULL: it is not whole. Behind its end stands a NUL. */
static char *take_line(struct request_text *text)
{
    size_t held = wire_held(&text->held);
    char *line = text->held.in + text->held.start;
    char *end = held > 0 ? memchr(line, '\n', held) : NULL;

    if (end == NULL)
        return NULL;
    wire_take(&text->held, (size_t)(end - line) + 1);
    if (end > line && end[-1] == '\r')
        end--;
    *end = '\0';
    return line;
}

bool request_text_is_upgrade(const struct request_text *text)
{
    const char *connection = message_field(text->head, "connection");
    const char *upgrade = message_field(text->head, "upgrade");

    return connection != NULL && strcasestr(connection, "upgrade") != NULL && upgrade != NULL &&
           strcasecmp(upgrade, "websocket") == 0;
}

void request_text_refuse_tunnel(struct request_text *text)
{
    if (text->state == TEXT_TUNNEL)
        text->state = TEXT_HEAD;
}

static enum text_part take_head(struct request_text *text)
{
    while (wire_held(&text->held) >= 2 && memcmp(wire_bytes(&text->held), "\r\n", 2) == 0)
        wire_take(&text->held, 2);
    if (memmem(wire_bytes(&text->held), wire_held(&text->held), "\r\n\r\n", 4) == NULL)
        return PART_NONE;
    forget_last(text);
    text->head = message_make();
    if (!message_read_head(&text->held, text->head, true) || text->head->minor != 1)
        return PART_UNSAYABLE;
    const char *length = message_field(text->head, "content-length");
    const char *coding = message_field(text->head, "transfer-encoding");
    if (coding != NULL && (length != NULL || strcasecmp(coding, "chunked") != 0))
        return PART_UNSAYABLE;
    text->left = length != NULL ? strtoull(length, NULL, 10) : 0;
    if (request_text_is_upgrade(text))
        text->state = TEXT_TUNNEL;
    else if (coding != NULL)
        text->state = TEXT_CHUNK_SIZE;
    else if (text->left > 0)
        text->state = TEXT_LENGTH;
    text->is_over = text->state == TEXT_HEAD;
    return PART_HEAD;
}

static enum text_part take_chunk_size(struct request_text *text)
{
    char *line = take_line(text), *rest;

    if (line == NULL)
        return PART_NONE;
    if (*line == '\0') /* behind the chunk before */
        return take_chunk_size(text);
    text->left = strtoull(line, &rest, 16);
    if (rest == line)
        return PART_UNSAYABLE;
    text->state = text->left > 0 ? TEXT_CHUNK : TEXT_TRAILERS;
    return request_text_next(text);
}

static enum text_part take_piece(struct request_text *text)
{
    bool is_tunnel = text->state == TEXT_TUNNEL;
    size_t length = wire_held(&text->held);

    if (length == 0)
        return PART_NONE;
    if (!is_tunnel && length > text->left)
        length = (size_t)text->left;
    text->piece = wire_bytes(&text->held);
    text->piece_bytes = length;
    wire_take(&text->held, length);
    if (is_tunnel)
        return PART_PIECE;
    text->left -= length;
    if (text->left == 0 && text->state == TEXT_LENGTH)
        text->is_over = true;
    else if (text->left == 0)
        text->state = TEXT_CHUNK_SIZE;
    return PART_PIECE;
}

static enum text_part take_trailers(struct request_text *text)
{
    for (char *line; (line = take_line(text)) != NULL;) {
        if (*line == '\0') {
            text->state = TEXT_HEAD;
            return PART_END;
        }
        fields_add_line(&text->trailers, line, strlen(line));
    }
    return PART_NONE;
}

enum text_part request_text_next(struct request_text *text)
{
    if (text->is_over) {
        text->is_over = false;
        text->state = TEXT_HEAD;
        return PART_END;
    }
    switch (text->state) {
    case TEXT_HEAD: return take_head(text);
    case TEXT_CHUNK_SIZE: return take_chunk_size(text);
    case TEXT_TRAILERS: return take_trailers(text);
    case TEXT_LENGTH:
    case TEXT_CHUNK:
    case TEXT_TUNNEL: return take_piece(text);
    }
    abort();
}
