#include "support/dns_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UDP_MAX = 512 }; /* to who says nothing else */

void dns_require(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "dns_server: %s (%s)\n", what, strerror(errno));
    abort();
}

void *dns_new(size_t size)
{
    void *made = calloc(1, size);
    dns_require(made != NULL, "no memory");
    return made;
}

/* --- writing -------------------------------------------------------------------------------- */

void dns_put(struct dns_writer *w, const void *bytes, size_t length)
{
    dns_require(w->length + length <= sizeof(w->bytes), "an answer is too long");
    memcpy(w->bytes + w->length, bytes, length);
    w->length += length;
}

static void put_16(struct dns_writer *w, unsigned value)
{
    dns_put(w, (const unsigned char[]){(unsigned char)(value >> 8), (unsigned char)value}, 2);
}

static void put_32(struct dns_writer *w, uint32_t value)
{
    put_16(w, value >> 16);
    put_16(w, value & 0xffff);
}

/* Uncompressed; "." is the root. */
static void put_name(struct dns_writer *w, const char *name)
{
    while (*name != '\0' && *name != '.') {
        size_t label = strcspn(name, ".");
        unsigned char length = (unsigned char)label;
        dns_put(w, &length, 1);
        dns_put(w, name, label);
        name += label + (name[label] == '.');
    }
    dns_put(w, "", 1);
}

void dns_put_record(struct dns_writer *w, const struct dns_record *record)
{
    struct dns_writer *body = dns_new(sizeof(*body));

    dns_put(body, record->fixed, record->fixed_bytes);
    if (record->type == DNS_CNAME || record->type == DNS_SRV)
        put_name(body, record->target);
    put_name(w, record->name);
    put_16(w, record->type);
    put_16(w, 1);
    put_32(w, record->ttl_s);
    put_16(w, (unsigned)body->length);
    dns_put(w, body->bytes, body->length);
    free(body);
}

/* Header and question of `question`, with that many answers to follow. */
void dns_put_head(struct dns_writer *w, const struct dns_question *question, unsigned flags,
                  unsigned answers)
{
    dns_put(w, question->message, 2);
    put_16(w, 0x8080u | (((unsigned)question->message[2] << 8) & 0x7900u) | flags); /* a response */
    put_16(w, 1);
    put_16(w, answers);
    put_16(w, 0);
    put_16(w, 0);
    dns_put(w, question->message + DNS_HEADER_BYTES, question->head_bytes - DNS_HEADER_BYTES);
}

/* --- reading -------------------------------------------------------------------------------- */

/* The name at `at`, which is never compressed; where it ends, or 0. */
static size_t read_name(const unsigned char *bytes, size_t length, size_t at,
                        char name[DNS_NAME_SIZE])
{
    size_t used = 0;

    while (at < length && bytes[at] != 0) {
        size_t label = bytes[at++];
        if (label > 63 || at + label > length || used + label + 2 > DNS_NAME_SIZE)
            return 0;
        if (used > 0)
            name[used++] = '.';
        memcpy(name + used, bytes + at, label);
        used += label;
        at += label;
    }
    name[used] = '\0';
    return at < length ? at + 1 : 0;
}

struct dns_question *dns_read_question(const unsigned char *bytes, size_t length)
{
    struct dns_question *question = dns_new(sizeof(*question));
    size_t end = length > DNS_HEADER_BYTES && length <= sizeof(question->message)
                     ? read_name(bytes, length, DNS_HEADER_BYTES, question->name)
                     : 0;

    if (end == 0 || end + 4 > length) {
        free(question);
        return NULL;
    }
    memcpy(question->message, bytes, length);
    question->type = (enum dns_type)(bytes[end] << 8 | bytes[end + 1]);
    question->head_bytes = end + 4;
    question->udp_max = UDP_MAX;
    /* An OPT record behind it, the only one: root, type 41, what the client can take. */
    if (length >= end + 4 + 11 && bytes[end + 4] == 0 && bytes[end + 6] == 41) {
        question->has_edns = true;
        question->udp_max = (size_t)bytes[end + 7] << 8 | bytes[end + 8];
    }
    question->tcp = -1;
    return question;
}
