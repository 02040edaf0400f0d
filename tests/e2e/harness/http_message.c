#include "http_message.h"

#include "pattern.h"
#include "workplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST_HEAD ((size_t)1 << 20)

void fields_clear(struct fields *fields)
{
    for (int i = 0; i < fields->count; i++) {
        free(fields->list[i].name);
        free(fields->list[i].value);
    }
    free(fields->list);
    *fields = (struct fields){0};
}

void message_free(void *object)
{
    struct message *message = object;

    free(message->head);
    free(message->start_line);
    free(message->method);
    free(message->target);
    free(message->body);
    fields_clear(&message->fields);
    fields_clear(&message->trailers);
    free(message);
}

struct message *message_make(void)
{
    struct message *message = calloc(1, sizeof *message);

    if (message == NULL)
        abort();
    message->body_is_pattern = true;
    return message;
}

struct message *message_new(void)
{
    return workplace_own(message_make(), message_free);
}

void fields_add(struct fields *fields, const char *name, size_t name_length, const char *value,
                size_t value_length)
{
    fields->list = realloc(fields->list, (size_t)(fields->count + 1) * sizeof *fields->list);
    if (fields->list == NULL)
        abort();
    fields->list[fields->count].name = strndup(name, name_length);
    fields->list[fields->count].value = strndup(value, value_length);
    fields->count++;
}

void fields_add_line(struct fields *fields, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    const char *end = line + length;

    if (colon == NULL)
        colon = end;
    const char *value = colon < end ? colon + 1 : end;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    fields_add(fields, line, (size_t)(colon - line), value, (size_t)(end - value));
}

const char *field_value(const struct fields *fields, const char *name)
{
    for (int i = 0; i < fields->count; i++) {
        if (strcasecmp(fields->list[i].name, name) == 0)
            return fields->list[i].value;
    }
    return NULL;
}

int field_count(const struct fields *fields, const char *name)
{
    int count = 0;

    for (int i = 0; i < fields->count; i++)
        count += strcasecmp(fields->list[i].name, name) == 0;
    return count;
}

/* Reads one line, without its CRLF, into *line (which the caller frees); false at the end of the
 * wire. */
static bool read_line(struct wire *wire, char **line)
{
    size_t seen = 0;

    for (;;) {
        size_t held = wire_held(wire);
        const char *bytes = wire_bytes(wire);
        const char *end = held > seen ? memchr(bytes + seen, '\n', held - seen) : NULL;
        if (end != NULL) {
            size_t length = (size_t)(end - bytes);
            size_t whole = length + 1;
            if (length > 0 && bytes[length - 1] == '\r')
                length--;
            *line = calloc(1, length + 1); /* strndup may look behind the end of what is held */
            memcpy(*line, bytes, length);
            wire_take(wire, whole);
            return true;
        }
        seen = held;
        if (held > LONGEST_HEAD || !wire_fill(wire))
            return false;
    }
}

static bool parse_request_line(struct message *message)
{
    const char *line = message->start_line;
    const char *space = strchr(line, ' ');
    const char *last = strrchr(line, ' ');

    if (space == NULL || last == space || strncmp(last, " HTTP/1.", 8) != 0)
        return false;
    message->method = strndup(line, (size_t)(space - line));
    message->target = strndup(space + 1, (size_t)(last - space - 1));
    message->minor = last[8] - '0';
    return true;
}

static bool parse_status_line(struct message *message)
{
    return sscanf(message->start_line, "HTTP/1.%d %d", &message->minor, &message->status) == 2;
}

bool message_read_head(struct wire *wire, struct message *message, bool is_request)
{
    size_t seen = 0;
    size_t length;

    for (;;) {
        size_t held = wire_held(wire);
        char *end = held >= 4 ? memmem(wire_bytes(wire) + seen, held - seen, "\r\n\r\n", 4) : NULL;
        if (end != NULL) {
            length = (size_t)(end - wire_bytes(wire)) + 4;
            break;
        }
        seen = held > 3 ? held - 3 : 0;
        if (held > LONGEST_HEAD || !wire_fill(wire)) {
            message->end = wire->state;
            return false;
        }
    }
    message->head = malloc(length + 1);
    if (message->head == NULL)
        abort();
    memcpy(message->head, wire_bytes(wire), length);
    message->head[length] = '\0';
    wire_take(wire, length);

    const char *line = message->head;
    const char *stop = message->head + length - 2;
    const char *end = memmem(line, length, "\r\n", 2);
    message->start_line = strndup(line, (size_t)(end - line));
    for (line = end + 2; line < stop; line = end + 2) {
        end = memmem(line, (size_t)(stop - line), "\r\n", 2);
        if (end == NULL)
            break;
        fields_add_line(&message->fields, line, (size_t)(end - line));
    }
    return is_request ? parse_request_line(message) : parse_status_line(message);
}

static void find_framing(struct message *message, const char *method)
{
    const char *coding = message_field(message, "transfer-encoding");
    const char *length = message_field(message, "content-length");
    bool is_request = message->method != NULL;

    message->framing = FRAMING_NONE;
    if (!is_request && ((method != NULL && strcmp(method, "HEAD") == 0) || message->status < 200 ||
                        message->status == 204 || message->status == 304))
        return;
    if (coding != NULL) {
        message->framing = FRAMING_CHUNKED;
    } else if (length != NULL) {
        message->framing = FRAMING_LENGTH;
        message->length = strtoull(length, NULL, 10);
    } else if (!is_request) {
        message->framing = FRAMING_CLOSE;
    }
}

void message_keep_body(struct message *message, const char *bytes, size_t length)
{
    if (message->body_is_pattern && !pattern_matches(message->body_bytes, bytes, length))
        message->body_is_pattern = false;
    message->body_bytes += length;
    if (message->body_stored < MESSAGE_STORED) {
        size_t more = MESSAGE_STORED - message->body_stored;
        if (more > length)
            more = length;
        message->body = realloc(message->body, message->body_stored + more + 1);
        if (message->body == NULL)
            abort();
        memcpy(message->body + message->body_stored, bytes, more);
        message->body_stored += more;
        message->body[message->body_stored] = '\0';
    }
}

/* Moves up to length bytes from the wire into the body; false when the wire ended before. */
static bool read_exactly(struct wire *wire, struct message *message, uint64_t length)
{
    while (length > 0) {
        if (wire_held(wire) == 0 && !wire_fill(wire))
            return false;
        size_t piece = wire_held(wire);
        if (piece > length)
            piece = (size_t)length;
        message_keep_body(message, wire_bytes(wire), piece);
        wire_take(wire, piece);
        length -= piece;
    }
    return true;
}

static bool read_chunks(struct wire *wire, struct message *message)
{
    char *line = NULL;

    while (read_line(wire, &line)) {
        char *rest = NULL;
        uint64_t size = strtoull(line, &rest, 16);
        bool is_size = rest != line;
        free(line);
        if (!is_size)
            return false;
        if (size == 0)
            goto trailers;
        if (!read_exactly(wire, message, size) || !read_line(wire, &line))
            return false;
        bool is_empty = line[0] == '\0';
        free(line);
        if (!is_empty)
            return false;
    }
    return false;
trailers:
    while (read_line(wire, &line)) {
        bool is_last = line[0] == '\0';
        if (!is_last)
            fields_add_line(&message->trailers, line, strlen(line));
        free(line);
        if (is_last)
            return true;
    }
    return false;
}

bool message_read_body(struct wire *wire, struct message *message, const char *method)
{
    find_framing(message, method);
    message_keep_body(message, "", 0);
    switch (message->framing) {
    case FRAMING_NONE: message->is_complete = true; break;
    case FRAMING_LENGTH: message->is_complete = read_exactly(wire, message, message->length); break;
    case FRAMING_CHUNKED: message->is_complete = read_chunks(wire, message); break;
    case FRAMING_CLOSE:
        while (wire_held(wire) > 0 || wire_fill(wire)) {
            message_keep_body(message, wire_bytes(wire), wire_held(wire));
            wire_take(wire, wire_held(wire));
        }
        message->is_complete = wire->state == WIRE_CLOSED;
        break;
    }
    message->end = wire->state;
    return message->is_complete;
}
