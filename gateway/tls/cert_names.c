#include "tls/cert_names.h"

#include "base/check.h"
#include "tls/internal.h"

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static void add_name(struct cert_names *names, struct slice name)
{
    names->list[names->count++] = slice_make(slice_duplicate(name), name.len);
}

struct slice host_for_names(struct slice host, char room[IP_TEXT_ROOM], bool *is_ip)
{
    unsigned char address[16];
    char text[IP_TEXT_ROOM];
    bool has_colon = slice_find(host, ':') >= 0;

    *is_ip = false;
    /* Names end with a letter almost always: they are told apart without parsing. */
    if (host.len == 0 || host.len >= sizeof(text) ||
        (!has_colon && (host.at[host.len - 1] < '0' || host.at[host.len - 1] > '9')))
        return host;
    slice_copy_text(host, text, sizeof(text));
    int family = has_colon ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, address) != 1)
        return host;
    *is_ip = true;
    if (!has_colon)
        return host; /* without zeros in front there is one way to write it */
    inet_ntop(family, address, room, IP_TEXT_ROOM);
    return slice_of(room);
}

struct slice host_parent(struct slice host)
{
    ptrdiff_t dot = slice_find(host, '.');

    return dot > 0 ? slice_skip(host, (size_t)dot) : slice_of("");
}

static void add_dns_name(struct cert_names *names, struct slice text)
{
    char name[TLS_NAME_MAX + 2], room[IP_TEXT_ROOM];
    bool is_wildcard = slice_starts_with(text, slice_of("*.")), is_ip;
    struct slice normal = tls_normalise_name(is_wildcard ? slice_skip(text, 2) : text, name + 2);

    if (slice_is_empty(normal))
        return;
    host_for_names(normal, room, &is_ip);
    if (is_ip)
        return;
    if (is_wildcard) {
        memcpy(name, "*.", 2);
        normal = slice_make(name, normal.len + 2);
    }
    add_name(names, normal);
}

static void add_ip_address(struct cert_names *names, struct slice bytes)
{
    char text[IP_TEXT_ROOM];

    if (bytes.len != 4 && bytes.len != 16)
        return;
    inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.at, text, sizeof(text));
    add_name(names, slice_of(text));
}

bool cert_names_read(const X509 *x509, struct cert_names *names)
{
    int critical;
    GENERAL_NAMES *found = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);

    *names = (struct cert_names){.count = 0};
    if (!found)
        return critical == -1; /* there is none */
    size_t count = sk_GENERAL_NAME_num(found);
    names->list = memory_array(count + 1, sizeof(*names->list));
    for (size_t i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(found, i);
        const ASN1_STRING *string;

        if (name->type == GEN_DNS)
            string = name->d.dNSName;
        else if (name->type == GEN_IPADD)
            string = name->d.iPAddress;
        else
            continue;
        struct slice bytes = slice_make((const char *)ASN1_STRING_get0_data(string),
                                        (size_t)ASN1_STRING_length(string));
        if (name->type == GEN_DNS)
            add_dns_name(names, bytes);
        else
            add_ip_address(names, bytes);
    }
    GENERAL_NAMES_free(found);
    return true;
}

void cert_names_clear(struct cert_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free((char *)names->list[i].at);
    free(names->list);
    *names = (struct cert_names){.count = 0};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct slice *)a)->at, ((const struct slice *)b)->at);
}

void cert_names_hash(const struct cert_names *names, uint8_t hash[32])
{
    struct slice *sorted = memory_array(names->count + 1, sizeof(*sorted));
    SHA256_CTX sha;

    if (names->count > 0) {
        memcpy(sorted, names->list, names->count * sizeof(*sorted));
        qsort(sorted, names->count, sizeof(*sorted), compare_names);
    }
    SHA256_Init(&sha);
    for (size_t i = 0; i < names->count; i++)
        SHA256_Update(&sha, sorted[i].at, sorted[i].len + 1);
    SHA256_Final(hash, &sha);
    free(sorted);
}
