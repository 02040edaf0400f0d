/* Field sections that come: what a response, its 1xx and its trailers must be. */
#include "h2_private.h"
#include "workplace.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The stream's last frame: what a whole response must be. */
void h2_end_stream(struct h2_client *client, struct h2_stream *stream)
{
    struct message *response = stream->response;
    const char *length = message_field(response, "content-length");

    stream->has_ended = true;
    response->is_complete = true;
    if (length != NULL && !stream->is_head && response->status != 304 && !stream->is_tunnel)
        h2_judge(client, strtoull(length, NULL, 10) == response->body_bytes,
                 "8.1.1: stream %u: content-length is %s, but the body has %llu bytes", stream->id,
                 length, (unsigned long long)response->body_bytes);
}

struct section {
    struct h2_client *client;
    struct h2_stream *stream;
    struct message *message; /* fields are the section's, status its :status */
    bool had_regular;
    const char *problem; /* the first; told once the decoder has returned, which has to free */
};

#define require(section, fact, ...)                 \
    ((fact) || (section)->problem != NULL ? (void)0 \
                                          : (void)((section)->problem = text(__VA_ARGS__)))

static void take_status(struct section *section, const struct hpack_entry *field)
{
    const char *value = field->value;
    uint32_t id = section->stream->id;

    require(section, !section->had_regular, "8.3: stream %u: %s behind other fields", id,
            field->name);
    require(section, strcmp(field->name, ":status") == 0, "8.3.2: stream %u: %s in a response", id,
            field->name);
    require(section, section->message->status == 0, "8.3: stream %u: :status twice", id);
    require(section, strlen(value) == 3 && strspn(value, "0123456789") == 3,
            "8.3.2: stream %u: :status is '%s'", id, value);
    section->message->status = atoi(value);
}

static bool is_token(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!isalnum(c) && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
        if (isupper(c))
            return false;
    }
    return length > 0;
}

static bool is_value(const char *value, size_t length)
{
    if (length > 0 && (strchr(" \t", value[0]) != NULL || strchr(" \t", value[length - 1]) != NULL))
        return false;
    for (size_t i = 0; i < length; i++)
        if (value[i] == '\0' || value[i] == '\r' || value[i] == '\n')
            return false;
    return true;
}

static bool is_connection_specific(const char *name)
{
    static const char *const names[] = {"connection",        "proxy-connection", "keep-alive",
                                        "transfer-encoding", "upgrade",          "te"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void take_field(void *arg, const struct hpack_entry *field, enum hpack_form form)
{
    struct section *section = arg;
    uint32_t id = section->stream->id;

    (void)form;
    if (field->name[0] == ':') {
        take_status(section, field);
        return;
    }
    section->had_regular = true;
    require(section, is_token(field->name, field->name_length),
            "8.2.1: stream %u: the field name '%s'", id, field->name);
    require(section, is_value(field->value, field->value_length),
            "8.2.1: stream %u: the value of %s: '%s'", id, field->name, field->value);
    require(section, !is_connection_specific(field->name), "8.2.2: stream %u: the field %s", id,
            field->name);
    fields_add(&section->message->fields, field->name, field->name_length, field->value,
               field->value_length);
}

/* The head in words, for messages. */
static void write_head(struct message *message)
{
    struct hpack_bytes head = {.at = NULL};
    char *line = NULL;

    for (int i = -1; i < message->fields.count; i++) {
        const struct field *field = &message->fields.list[i < 0 ? 0 : i];
        int length = i < 0 ? asprintf(&line, "HTTP/2 %d\r\n", message->status)
                           : asprintf(&line, "%s: %s\r\n", field->name, field->value);
        if (length < 0)
            abort();
        hpack_put(&head, line, (size_t)length);
        free(line);
    }
    hpack_put(&head, "\r\n", 3);
    message->head = (char *)head.at;
}

static void drop_arriving(struct h2_client *client)
{
    message_free(client->arriving);
    client->arriving = NULL;
}

static void take_trailers(struct section *section)
{
    struct h2_stream *stream = section->stream;

    h2_judge(section->client, section->message->status == 0, "8.1: stream %u: :status in trailers",
             stream->id);
    stream->response->trailers = section->message->fields;
    section->message->fields = (struct fields){.list = NULL};
    stream->has_trailers = true;
    drop_arriving(section->client);
}

/* A response's head; 1xx are not kept but for the newest. */
static void take_head(struct section *section, bool ends_stream)
{
    struct h2_stream *stream = section->stream;
    struct message *message = section->message;
    int status = message->status;

    h2_judge(section->client, status >= 200 || !ends_stream, "8.1: stream %u: 1xx ends the stream",
             stream->id);
    h2_judge(section->client, status >= 100 && status != 101, "8.3.2, 8.6: stream %u: :status %d",
             stream->id, status);
    section->client->arriving = NULL;
    write_head(message);
    if (status >= 200) {
        stream->response = message;
        message_keep_body(message, "", 0);
        return;
    }
    if (stream->interim != NULL)
        message_free(stream->interim);
    stream->interim = message;
    stream->interim_count++;
}

void h2_take_section(struct h2_client *client)
{
    struct h2_stream *stream = h2_stream(client, client->block_stream);
    struct section section = {.client = client, .stream = stream, .message = message_make()};
    bool is_trailers = stream->response != NULL, ends_stream = client->block_ends_stream;
    const char *problem = hpack_decode(&client->decoder, client->block.at, client->block.length,
                                       take_field, &section);

    client->block.length = 0;
    client->block_stream = 0;
    client->arriving = section.message;
    h2_require(client, problem == NULL, "RFC 7541, stream %u: %s", stream->id, problem);
    if (stream->we_reset) {
        drop_arriving(client);
        return;
    }
    h2_judge(client, section.problem == NULL, "%s", section.problem);
    h2_judge(client, !is_trailers || ends_stream, "8.1: stream %u: trailers do not end the stream",
             stream->id);
    if (is_trailers)
        take_trailers(&section);
    else
        take_head(&section, ends_stream);
    if (ends_stream && stream->response != NULL)
        h2_end_stream(client, stream);
}
