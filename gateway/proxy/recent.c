#include "proxy/recent.h"

#include "base/check.h"

#include <stdlib.h>

/* Records follow each other without gaps; at the end of the block they go on at its front. */
struct record {
    uint64_t at_us;
    uint16_t bytes; /* of the whole record, a multiple of 8 */
    /* from here on: the identity */
    uint16_t port;
    uint16_t path_bytes;
    uint8_t host_bytes, method_bytes;
    uint8_t sni_bytes;
    uint8_t flags;
    char texts[]; /* method, host, path, SNI */
};
enum { IS_TLS = 1, SNI_IS_HOST = 2, NAME_MAX_BYTES = 255 };

struct recent {
    size_t size;
    size_t put;    /* where the next record goes */
    size_t oldest; /* with a count of 0: nowhere */
    size_t count;
    size_t turn; /* where records ended when they last went on at the front; or NEVER, once the
                    oldest is in front of the next one */
    uint64_t left_out;
    char *block;
};
#define NEVER SIZE_MAX

struct recent *recent_new(size_t bytes)
{
    struct recent *recent = memory_new(sizeof(*recent));

    recent->size = (bytes < RECENT_BYTES_MIN ? RECENT_BYTES_MIN : bytes) & ~(size_t)7;
    recent->turn = NEVER;
    recent->block = memory_new(recent->size); /* pages come when they are first written to */
    return recent;
}

void recent_free(struct recent *recent)
{
    if (!recent)
        return;
    free(recent->block);
    free(recent);
}

static struct record *record_at(const struct recent *recent, size_t position)
{
    return (struct record *)(void *)(recent->block + position);
}

static void drop_oldest(struct recent *recent)
{
    recent->oldest += record_at(recent, recent->oldest)->bytes;
    recent->count--;
    if (recent->oldest != recent->turn)
        return;
    recent->oldest = 0;
    recent->turn = NEVER;
}

static struct record *make_room(struct recent *recent, size_t bytes)
{
    size_t at = recent->put;

    if (at + bytes > recent->size) {
        while (recent->count > 0 && recent->oldest >= at)
            drop_oldest(recent);
        recent->turn = at;
        at = 0;
    }
    while (recent->count > 0 && recent->oldest >= at && recent->oldest < at + bytes)
        drop_oldest(recent);
    if (recent->count == 0) {
        recent->oldest = at;
        recent->turn = NEVER;
    }
    recent->count++;
    recent->put = at + bytes;
    return record_at(recent, at);
}

static char *put_text(char *to, struct slice text)
{
    if (text.len > 0)
        memcpy(to, text.at, text.len);
    return to + text.len;
}

void recent_put(struct recent *recent, const struct recent_request *request)
{
    bool sni_is_host = slice_equal(request->sni, request->host);
    struct slice sni = sni_is_host ? slice_make(NULL, 0) : request->sni;
    size_t texts, bytes;
    struct record *record;
    char *to;

    if (!recent)
        return;
    if (request->path.len > RECENT_PATH_MAX || request->method.len > RECENT_METHOD_MAX ||
        request->host.len > NAME_MAX_BYTES || sni.len > NAME_MAX_BYTES) {
        recent->left_out++;
        return;
    }
    texts = request->method.len + request->host.len + request->path.len + sni.len;
    bytes = (offsetof(struct record, texts) + texts + 7) & ~(size_t)7;
    record = make_room(recent, bytes);
    record->at_us = request->at_us;
    record->bytes = (uint16_t)bytes;
    record->port = request->port;
    record->path_bytes = (uint16_t)request->path.len;
    record->host_bytes = (uint8_t)request->host.len;
    record->method_bytes = (uint8_t)request->method.len;
    record->sni_bytes = (uint8_t)sni.len;
    record->flags = (uint8_t)((request->is_tls ? IS_TLS : 0) | (sni_is_host ? SNI_IS_HOST : 0));
    to = put_text(record->texts, request->method);
    to = put_text(to, request->host);
    to = put_text(to, request->path);
    put_text(to, sni);
}

uint64_t recent_left_out(const struct recent *recent)
{
    return recent ? recent->left_out : 0;
}

char *recent_copy(const struct recent *recent, size_t *bytes)
{
    bool has_turned = recent && recent->turn != NEVER;
    size_t first, second;
    char *copy;

    *bytes = 0;
    if (!recent || recent->count == 0)
        return NULL;
    first = (has_turned ? recent->turn : recent->put) - recent->oldest;
    second = has_turned ? recent->put : 0;
    copy = memory_new(first + second);
    memcpy(copy, recent->block + recent->oldest, first);
    memcpy(copy + first, recent->block, second);
    *bytes = first + second;
    return copy;
}

static struct slice take_text(const char **from, size_t bytes)
{
    struct slice text = slice_make(*from, bytes);

    *from += bytes;
    return text;
}

bool recent_next(struct slice *copy, struct recent_request *request, struct slice *identity)
{
    const struct record *record = (const void *)copy->at;
    const char *from;

    if (copy->len == 0)
        return false;
    from = record->texts;
    request->at_us = record->at_us;
    request->port = record->port;
    request->is_tls = record->flags & IS_TLS;
    request->method = take_text(&from, record->method_bytes);
    request->host = take_text(&from, record->host_bytes);
    request->path = take_text(&from, record->path_bytes);
    request->sni = take_text(&from, record->sni_bytes);
    if (record->flags & SNI_IS_HOST)
        request->sni = request->host;
    *identity =
        slice_make((const char *)&record->port, (size_t)(from - (const char *)&record->port));
    *copy = slice_skip(*copy, record->bytes);
    return true;
}
