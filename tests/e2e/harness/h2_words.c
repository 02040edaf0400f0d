#include "h2_private.h"
#include "workplace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STORY_MAX = 3000 };

const char *h2_code_name(uint32_t code)
{
    static const char *const names[] = {
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    };

    return code < sizeof names / sizeof *names ? names[code] : "an unknown code";
}

const char *h2_type_name(uint8_t type)
{
    static const char *const names[] = {
        "DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
        "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION",
    };

    if (type == H2_PRIORITY_UPDATE)
        return "PRIORITY_UPDATE";
    return type < sizeof names / sizeof *names ? names[type] : "unknown type";
}

void h2_fail(struct h2_client *client, const char *format, ...)
{
    va_list arguments;
    char message[1024];

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    workplace_fail("%s%s%s\nThe newest frames:%.*s",
                   client->options.about != NULL ? client->options.about : "",
                   client->options.about != NULL ? ": " : "", message, (int)client->story.length,
                   client->story.at != NULL ? (char *)client->story.at : "");
}

void h2_tell(struct h2_client *client, char direction, const struct h2_frame *frame)
{
    char line[128];
    int length = snprintf(line, sizeof line, "\n  %c %s (%d) flags 0x%x stream %u length %zu",
                          direction, h2_type_name(frame->type), frame->type, frame->flags,
                          frame->stream, frame->length);

    if ((frame->type == H2_RST_STREAM && frame->length == 4) ||
        (frame->type == H2_GOAWAY && frame->length >= 8)) {
        const char *code = (const char *)frame->payload + (frame->type == H2_GOAWAY ? 4 : 0);
        length += snprintf(line + length, sizeof line - (size_t)length, " %s",
                           h2_code_name(h2_number(code)));
    }
    if (client->story.length > STORY_MAX) {
        size_t dropped = client->story.length / 2;
        memmove(client->story.at, client->story.at + dropped, client->story.length - dropped);
        client->story.length -= dropped;
    }
    hpack_put(&client->story, line, (size_t)length);
}
