#include "control/cert_metrics.h"

#include "base/table.h"
#include "control/metrics_text.h"

#include <stdlib.h>

/* Clients that can use both take the other kind before RSA: each is served as long as it lasts. */
enum { KIND_RSA, KIND_OTHER, KINDS };

struct named {
    struct slice name;
    int64_t not_after[KINDS]; /* of the newest that covers it; 0: none */
};

struct names {
    struct named *list;
    size_t count, room;
    struct table by_name; /* index + 1 in `list` */
};

static int64_t runs_out(const struct named *named)
{
    const int64_t *at = named->not_after;

    if (at[KIND_RSA] == 0 || at[KIND_OTHER] == 0)
        return at[KIND_RSA] + at[KIND_OTHER];
    return at[KIND_RSA] < at[KIND_OTHER] ? at[KIND_RSA] : at[KIND_OTHER];
}

static int compare(const void *one, const void *other)
{
    const struct named *a = one, *b = other;
    int64_t left = runs_out(a), right = runs_out(b);
    size_t common = a->name.len < b->name.len ? a->name.len : b->name.len;

    if (left != right)
        return left < right ? -1 : 1;
    int order = memcmp(a->name.at, b->name.at, common);
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static struct named *find(struct names *names, struct slice name)
{
    uintptr_t place = (uintptr_t)table_get(&names->by_name, name);

    if (place > 0)
        return &names->list[place - 1];
    if (names->count == names->room) {
        names->room = names->room > 0 ? 2 * names->room : 64;
        names->list = memory_resize(names->list, names->room * sizeof(*names->list));
    }
    names->list[names->count++] = (struct named){.name = name};
    table_put(&names->by_name, name, (void *)(uintptr_t)names->count);
    return &names->list[names->count - 1];
}

static void add(struct names *names, const struct certificate *certificate)
{
    int kind = certificate_key(certificate) == CERT_KEY_RSA ? KIND_RSA : KIND_OTHER;
    int64_t not_after = certificate_not_after(certificate);
    const struct slice *list;
    int count = certificate_names(certificate, &list);

    for (int i = 0; i < count; i++) {
        struct named *named = find(names, list[i]);
        if (not_after > named->not_after[kind])
            named->not_after[kind] = not_after;
    }
}

static void print_names(struct names *names, size_t limit, struct buffer *out)
{
    struct metrics_family family =
        metrics_begin(out, "sallyport_tls_cert_not_after_timestamp_seconds", "gauge",
                      "When the certificates for a name run out, in seconds since 1970.");

    if (names->count > 0)
        qsort(names->list, names->count, sizeof(*names->list), compare);
    for (size_t i = 0; i < names->count && i <= limit; i++) {
        struct slice name = i < limit ? names->list[i].name : slice_of("other");
        family.labels[0] = (struct metrics_label){"name", name};
        metrics_sample(&family, (uint64_t)runs_out(&names->list[i]));
    }
}

static void print_states(const struct certificate_rows *rows, struct buffer *out)
{
    uint64_t counts[CERTIFICATE_STATES] = {0};
    struct metrics_family family =
        metrics_begin(out, "sallyport_tls_certs", "gauge",
                      "Certificates in date, out of date, and broken since they were last read.");

    for (size_t i = 0; i < rows->count; i++)
        counts[rows->list[i].state]++;
    for (int i = 0; i < CERTIFICATE_STATES; i++) {
        const char *name = certificate_state_name((enum certificate_state)i);
        family.labels[0] = (struct metrics_label){"state", slice_of(name)};
        metrics_sample(&family, counts[i]);
    }
}

void cert_metrics_print(const struct certificate_rows *rows, size_t limit, struct buffer *out)
{
    struct names names = {0};

    for (size_t i = 0; i < rows->count; i++)
        if (rows->list[i].certificate != NULL)
            add(&names, rows->list[i].certificate);
    print_names(&names, limit, out);
    print_states(rows, out);
    table_clear(&names.by_name);
    free(names.list);
}
