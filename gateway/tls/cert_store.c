#include "tls/cert_store.h"

#include "base/check.h"
#include "base/table.h"
#include "tls/cert_library.h"
#include "tls/cert_names.h"

#include <stdlib.h>

/* All certificates with one name, the preferred first. */
struct entry {
    struct certificate **list;
    size_t count;
};

struct cert_store {
    struct certificate **list; /* a reference each */
    size_t count;
    struct table exact;    /* name -> entry */
    struct table wildcard; /* what follows the "*" -> entry */
};

/* --- preference ------------------------------------------------------------------------------- */

/* Among equals: what is cheap to sign with and known to everybody first. */
static int key_rank(enum cert_key key)
{
    switch (key) {
    case CERT_KEY_ECDSA_P256: return 0;
    case CERT_KEY_ECDSA_P384: return 1;
    case CERT_KEY_ECDSA_P521: return 2;
    case CERT_KEY_ED25519: return 3;
    case CERT_KEY_RSA: return 4;
    }
    return 5;
}

/* RSA stands beside another key for the sake of those who know nothing else: whichever was issued
 * last, the others get the cheaper one. */
static int compare_preference(const void *a, const void *b)
{
    const struct certificate *one = *(struct certificate *const *)a;
    const struct certificate *other = *(struct certificate *const *)b;
    enum cert_key one_key = certificate_key(one), other_key = certificate_key(other);
    int64_t one_from = certificate_not_before(one), other_from = certificate_not_before(other);

    if ((one_key == CERT_KEY_RSA) != (other_key == CERT_KEY_RSA))
        return one_key == CERT_KEY_RSA ? 1 : -1;
    if (one_from != other_from)
        return one_from > other_from ? -1 : 1;
    if (one_key != other_key)
        return key_rank(one_key) - key_rank(other_key);
    return strcmp(certificate_file(one), certificate_file(other));
}

static bool is_usable(const struct certificate *certificate, const struct cert_wish *wish)
{
    switch (certificate_key(certificate)) {
    case CERT_KEY_ECDSA_P256: return wish->has_ecdsa_p256;
    case CERT_KEY_ECDSA_P384: return wish->has_ecdsa_p384;
    case CERT_KEY_ECDSA_P521: return wish->has_ecdsa_p521;
    case CERT_KEY_RSA: return wish->has_rsa;
    case CERT_KEY_ED25519: return wish->has_ed25519;
    }
    return false;
}

static bool is_in_date(const struct certificate *certificate, int64_t now)
{
    return certificate_not_before(certificate) <= now && now <= certificate_not_after(certificate);
}

static struct certificate *pick(const struct entry *entry, const struct cert_wish *wish,
                                bool in_date)
{
    for (size_t i = 0; entry && i < entry->count; i++) {
        struct certificate *candidate = entry->list[i];

        if (is_usable(candidate, wish) && (!in_date || is_in_date(candidate, wish->now)))
            return candidate;
    }
    return NULL;
}

static void find_entries(const struct cert_store *store, struct slice host, struct entry **exact,
                         struct entry **wildcard)
{
    char room[IP_TEXT_ROOM];
    bool is_ip;
    struct slice name = host_for_names(host, room, &is_ip);
    struct slice parent = is_ip ? slice_of("") : host_parent(name);

    *exact = table_get(&store->exact, name);
    *wildcard = slice_is_empty(parent) ? NULL : table_get(&store->wildcard, parent);
}

struct certificate *cert_store_choose(const struct cert_store *store, const struct cert_wish *wish,
                                      bool *covered)
{
    struct entry *exact, *wildcard;
    struct certificate *found;

    find_entries(store, wish->name, &exact, &wildcard);
    *covered = exact || wildcard;
    found = pick(exact, wish, true);
    if (!found)
        found = pick(wildcard, wish, true);
    if (!found)
        found = pick(exact, wish, false);
    if (!found)
        found = pick(wildcard, wish, false);
    return found;
}

struct cert_wish cert_wish_of_everything(struct slice name, int64_t now)
{
    return (struct cert_wish){
        .name = name,
        .has_ecdsa_p256 = true,
        .has_ecdsa_p384 = true,
        .has_ecdsa_p521 = true,
        .has_rsa = true,
        .has_ed25519 = true,
        .now = now,
    };
}

static const struct certificate *last_to_end(const struct entry *entry,
                                             const struct certificate *than)
{
    for (size_t i = 0; entry && i < entry->count; i++)
        if (certificate_not_after(entry->list[i]) > certificate_not_after(than))
            than = entry->list[i];
    return than;
}

const struct certificate *cert_store_successor(const struct cert_store *store, struct slice host,
                                               const struct certificate *certificate)
{
    struct entry *exact, *wildcard;
    const struct certificate *last;

    find_entries(store, host, &exact, &wildcard);
    last = last_to_end(wildcard, last_to_end(exact, certificate));
    return last != certificate ? last : NULL;
}

bool cert_store_covers(const struct cert_store *store, struct slice host)
{
    struct entry *exact, *wildcard;

    find_entries(store, host, &exact, &wildcard);
    return exact || wildcard;
}

size_t cert_store_count(const struct cert_store *store)
{
    return store->count;
}

const struct certificate *cert_store_at(const struct cert_store *store, size_t index)
{
    assert(index < store->count);
    return store->list[index];
}

/* --- making one ------------------------------------------------------------------------------- */

static void index_name(struct table *table, struct slice key, struct certificate *certificate)
{
    struct entry *entry = table_get(table, key);

    if (!entry) {
        entry = memory_new(sizeof(*entry));
        table_put(table, key, entry);
    }
    if (entry->count > 0 && entry->list[entry->count - 1] == certificate)
        return;                                   /* it says the name twice */
    if ((entry->count & (entry->count - 1)) == 0) /* full: it grows by doubling */
        entry->list = memory_resize(entry->list, (entry->count ? 2 * entry->count : 1) *
                                                     sizeof(struct certificate *));
    entry->list[entry->count++] = certificate;
}

static void add_certificate(struct cert_store *store, struct certificate *certificate)
{
    const struct slice *names;
    int count = certificate_names(certificate, &names);

    store->list[store->count++] = certificate_ref(certificate);
    for (int i = 0; i < count; i++) {
        if (names[i].at[0] == '*')
            index_name(&store->wildcard, slice_skip(names[i], 1), certificate);
        else
            index_name(&store->exact, names[i], certificate);
    }
}

static void sort_entries(struct table *table)
{
    struct table_entry *slot;

    for (size_t at = 0; (slot = table_next(table, &at)) != NULL;) {
        struct entry *entry = slot->value;

        qsort(entry->list, entry->count, sizeof(struct certificate *), compare_preference);
    }
}

struct cert_store *cert_store_new(struct certificate *const *list, size_t count)
{
    struct cert_store *store = memory_new(sizeof(*store));

    store->list = memory_array(count + 1, sizeof(struct certificate *));
    for (size_t i = 0; i < count; i++)
        add_certificate(store, list[i]);
    sort_entries(&store->exact);
    sort_entries(&store->wildcard);
    return store;
}

struct cert_store *cert_store_load(const struct cert_source *sources, size_t count,
                                   struct cert_problems *problems)
{
    struct cert_library *library = cert_library_new();
    struct cert_store *store = cert_library_load(library, sources, count, problems);

    cert_library_free(library);
    return store;
}

static void free_entries(struct table *table)
{
    struct table_entry *slot;

    for (size_t at = 0; (slot = table_next(table, &at)) != NULL;) {
        struct entry *entry = slot->value;

        free(entry->list);
        free(entry);
    }
    table_clear(table);
}

void cert_store_free(struct cert_store *store)
{
    if (!store)
        return;
    free_entries(&store->exact);
    free_entries(&store->wildcard);
    for (size_t i = 0; i < store->count; i++)
        certificate_unref(store->list[i]);
    free(store->list);
    free(store);
}

void cert_problems_clear(struct cert_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        for (size_t k = 0; k < problems->list[i].served_count; k++)
            certificate_unref(problems->list[i].served[k]);
        free(problems->list[i].served);
        free(problems->list[i].file);
        free(problems->list[i].message);
    }
    free(problems->list);
    *problems = (struct cert_problems){.count = 0};
}
