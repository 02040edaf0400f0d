#include "tls/cert_library.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/table.h"
#include "tls/cert_folder.h"
#include "tls/internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    PARALLEL_FROM = 64, /* pairs; fewer are looked at by the caller's thread alone */
    THREADS_MAX = 64,
};

/* What the last look at an entry's files took. */
enum effort { EFFORT_NONE, EFFORT_READ, EFFORT_PARSE };

/* One pair of files. */
struct entry {
    char *chain, *key;
    char *id;                     /* both, with a NUL between them */
    struct certificate *good;     /* as last read without a fault; one reference; NULL: never */
    char *fault;                  /* of the files as they are now; NULL: none */
    uint64_t broken_bytes;        /* fingerprint of what the fault was found in; 0: was not read */
    int64_t broken_since;         /* 0: served as it is */
    uint64_t stamps;              /* digest */
    unsigned long long last_load; /* that found it, or something in its place */
    unsigned position;
    bool must_read; /* whatever the stamps say */
    enum effort effort;
};

struct cert_library {
    struct table entries; /* by id */
    unsigned long long loads;
    struct cert_load_counts counts;
};

/* Files that are not as they should be: holds what was known from there. */
struct claim {
    struct cert_problem problem;
    bool is_quiet; /* told only when it holds something */
};

struct load {
    struct cert_library *library;
    struct entry **entries; /* what is looked at; then what is served */
    size_t count;
    atomic_size_t next; /* to be looked at */

    struct claim *claims;
    size_t claim_count;
    struct table claimed; /* what a claim holds -> claim; see add_claim_key */
    char **claim_keys;    /* the keys of that table */
    size_t claim_key_count;
    int64_t now_s;
};

/* --- entries ---------------------------------------------------------------------------------- */

static struct slice entry_id(const struct entry *entry)
{
    return slice_make(entry->id, strlen(entry->chain) + 1 + strlen(entry->key));
}

static struct entry *entry_new(const char *chain, const char *key)
{
    size_t chain_size = strlen(chain) + 1, key_size = strlen(key) + 1;
    struct entry *entry = memory_new(sizeof(*entry));

    entry->id = memory_new(chain_size + key_size);
    memcpy(entry->id, chain, chain_size);
    memcpy(entry->id + chain_size, key, key_size);
    entry->chain = entry->id;
    entry->key = entry->id + chain_size;
    entry->must_read = true;
    return entry;
}

static void entry_free(struct entry *entry)
{
    certificate_unref(entry->good);
    free(entry->fault);
    free(entry->id);
    free(entry);
}

static void set_fault(struct entry *entry, const char *message)
{
    free(entry->fault);
    entry->fault = message ? slice_duplicate(slice_of(message)) : NULL;
    entry->broken_bytes = 0;
}

/* --- looking at files ------------------------------------------------------------------------- */

static void parse_entry(struct entry *entry, const struct cert_paths *paths,
                        const struct cert_bytes *bytes)
{
    struct error error = {.message = ""};
    struct certificate *parsed = certificate_parse(paths, bytes, &error);

    entry->effort = EFFORT_PARSE;
    if (!parsed) {
        set_fault(entry, error.message);
        entry->broken_bytes = cert_bytes_fingerprint(bytes);
        return;
    }
    set_fault(entry, NULL);
    certificate_unref(entry->good);
    entry->good = parsed;
}

static void read_entry(struct entry *entry, const struct cert_paths *paths)
{
    struct error error = {.message = ""};
    struct cert_bytes bytes;

    entry->effort = EFFORT_READ;
    if (!cert_bytes_read(paths, &bytes, &error)) {
        set_fault(entry, error.message);
        entry->must_read = true; /* that may pass without leaving a stamp */
        return;
    }
    entry->must_read |= bytes.lacks_ocsp;
    uint64_t fingerprint = cert_bytes_fingerprint(&bytes);
    if (entry->good && certificate_fingerprint(entry->good) == fingerprint)
        set_fault(entry, NULL);
    else if (!entry->fault || entry->broken_bytes != fingerprint)
        parse_entry(entry, paths, &bytes);
    cert_bytes_clear(&bytes);
}

/* The stamps are taken first: what changes while it is read has others the next time. */
static void look_at(struct entry *entry)
{
    char *ocsp = cert_path_beside(entry->chain, ".ocsp");
    struct cert_paths paths = {.chain = entry->chain, .key = entry->key, .ocsp = ocsp};
    struct cert_stamps stamps = cert_stamps_take(&paths);
    bool has_changed = entry->must_read || stamps.digest != entry->stamps;

    entry->effort = EFFORT_NONE;
    entry->stamps = stamps.digest;
    entry->must_read = stamps.is_fresh;
    if (has_changed)
        read_entry(entry, &paths);
    free(ocsp);
}

static void *look_at_some(void *argument)
{
    struct load *load = argument;

    for (;;) {
        size_t i = atomic_fetch_add(&load->next, 1);

        if (i >= load->count)
            return NULL;
        look_at(load->entries[i]);
    }
}

static size_t count_threads(size_t pairs)
{
    cpu_set_t cpus;

    if (pairs < PARALLEL_FROM || sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return 1;
    size_t count = (size_t)CPU_COUNT(&cpus);
    return count < THREADS_MAX ? count : THREADS_MAX;
}

/* The calling thread works, too: one that cannot be started is not missed. */
static void look_at_all(struct load *load)
{
    pthread_t threads[THREADS_MAX];
    size_t wanted = count_threads(load->count) - 1, started = 0;

    while (started < wanted && pthread_create(&threads[started], NULL, look_at_some, load) == 0)
        started++;
    look_at_some(load);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* The entry of each pair, new ones among them; a pair that was named before adds nothing. */
static void take_pairs(struct load *load, const struct cert_findings *findings)
{
    struct cert_library *library = load->library;

    for (size_t i = 0; i < findings->pair_count; i++) {
        const struct cert_pair *pair = &findings->pairs[i];
        struct entry *fresh = entry_new(pair->chain, pair->key);
        struct entry *entry = table_get(&library->entries, entry_id(fresh));

        if (entry) {
            entry_free(fresh);
        } else {
            entry = fresh;
            table_put(&library->entries, entry_id(entry), entry);
        }
        if (entry->last_load == library->loads)
            continue;
        entry->last_load = library->loads;
        entry->position = pair->position;
        load->entries[load->count++] = entry;
    }
}

static void count_effort(struct load *load)
{
    struct cert_load_counts *counts = &load->library->counts;

    *counts = (struct cert_load_counts){.pairs = load->count};
    for (size_t i = 0; i < load->count; i++) {
        counts->read += load->entries[i]->effort >= EFFORT_READ;
        counts->parsed += load->entries[i]->effort == EFFORT_PARSE;
    }
}

/* --- what is broken --------------------------------------------------------------------------- */

static struct claim *add_claim(struct load *load, const char *file, const char *message,
                               unsigned position)
{
    struct claim *claim = &load->claims[load->claim_count++];

    claim->problem = (struct cert_problem){
        .file = slice_duplicate(slice_of(file)),
        .message = slice_duplicate(slice_of(message)),
        .position = position,
        .since = load->now_s,
    };
    return claim;
}

/* The claim holds what lies in a folder ("PATH/"), and the pair whose chain this is ("PATH") or
 * whose chain or key has this stem ("PATH"): a file that changes its role (a.pem gets an a.key
 * beside it, an a.crt loses its own) is half of another pair then, and those two have the stem in
 * common. */
static void add_claim_key(struct load *load, struct claim *claim, struct slice path, bool is_folder)
{
    char *key = memory_new(path.len + 2);

    memcpy(key, path.at, path.len);
    if (is_folder && (path.len == 0 || path.at[path.len - 1] != '/'))
        key[path.len] = '/';
    load->claim_keys[load->claim_key_count++] = key;
    if (!table_get(&load->claimed, slice_of(key)))
        table_put(&load->claimed, slice_of(key), claim);
}

static void claim_losses(struct load *load, const struct cert_findings *findings)
{
    for (size_t i = 0; i < findings->loss_count; i++) {
        const struct cert_loss *loss = &findings->losses[i];
        struct claim *claim = add_claim(load, loss->path, loss->message, loss->position);

        claim->is_quiet = loss->is_quiet;
        if (loss->kind == CERT_LOSS_KEY_ALONE)
            add_claim_key(load, claim, cert_path_stem(loss->path), false);
        if (loss->kind == CERT_LOSS_SOURCE)
            add_claim_key(load, claim, slice_of(loss->path), false);
        if (loss->kind != CERT_LOSS_KEY_ALONE)
            add_claim_key(load, claim, slice_of(loss->path), true);
    }
}

static void quarantine(struct claim *claim, struct entry *entry, int64_t now_s)
{
    struct cert_problem *problem = &claim->problem;

    if (entry->broken_since == 0)
        entry->broken_since = now_s;
    if (entry->broken_since < problem->since)
        problem->since = entry->broken_since;
    if ((problem->served_count & (problem->served_count - 1)) == 0) /* full: it grows by doubling */
        problem->served =
            memory_resize(problem->served, (problem->served_count ? 2 * problem->served_count : 1) *
                                               sizeof(struct certificate *));
    problem->served[problem->served_count++] = certificate_ref(entry->good);
}

/* Those that have no certificate of their own hold the one of another role of their files. */
static void claim_broken(struct load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        struct entry *entry = load->entries[i];

        if (!entry->fault) {
            entry->broken_since = 0;
            continue;
        }
        if (entry->broken_since == 0)
            entry->broken_since = load->now_s;
        struct claim *claim = add_claim(load, entry->chain, entry->fault, entry->position);
        claim->problem.since = entry->broken_since;
        if (entry->good)
            quarantine(claim, entry, load->now_s);
        else
            add_claim_key(load, claim, cert_path_stem(entry->chain), false);
    }
}

static struct claim *find_claim(const struct load *load, const struct entry *entry)
{
    struct claim *claim = table_get(&load->claimed, slice_of(entry->chain));
    struct slice folder = slice_of(entry->chain);
    ptrdiff_t slash;

    if (!claim)
        claim = table_get(&load->claimed, cert_path_stem(entry->chain));
    if (!claim)
        claim = table_get(&load->claimed, cert_path_stem(entry->key));
    while (!claim && (slash = slice_find_last(folder, '/')) >= 0) {
        claim = table_get(&load->claimed, slice_make(folder.at, (size_t)slash + 1));
        folder.len = (size_t)slash;
    }
    return claim;
}

/* What was known, was not found this time, and is not to be taken for deleted. */
static void keep_claimed(struct load *load)
{
    struct cert_library *library = load->library;
    struct table_entry *slot;

    for (size_t at = 0; (slot = table_next(&library->entries, &at)) != NULL;) {
        struct entry *entry = slot->value;

        if (entry->last_load == library->loads || !entry->good)
            continue;
        struct claim *claim = find_claim(load, entry);
        if (!claim)
            continue;
        entry->last_load = library->loads;
        entry->position = claim->problem.position;
        quarantine(claim, entry, load->now_s);
        load->entries[load->count++] = entry;
    }
}

static void tell_problems(struct load *load, struct cert_problems *problems)
{
    if (load->claim_count > 0)
        problems->list = memory_resize(problems->list, (problems->count + load->claim_count) *
                                                           sizeof(*problems->list));
    for (size_t i = 0; i < load->claim_count; i++) {
        struct claim *claim = &load->claims[i];
        struct cert_problems single = {.list = &claim->problem, .count = 1};

        if (claim->is_quiet && claim->problem.served_count == 0) {
            free(single.list->file);
            free(single.list->message);
        } else {
            problems->list[problems->count++] = claim->problem;
        }
    }
}

/* --- the load --------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = *(struct entry *const *)a, *other = *(struct entry *const *)b;

    if (one->position != other->position)
        return one->position < other->position ? -1 : 1;
    int order = strcmp(one->chain, other->chain);
    return order != 0 ? order : strcmp(one->key, other->key);
}

static struct cert_store *make_store(struct load *load)
{
    struct certificate **list = memory_array(load->count + 1, sizeof(struct certificate *));
    struct cert_store *store;
    size_t count = 0;

    qsort(load->entries, load->count, sizeof(struct entry *), compare_entries);
    for (size_t i = 0; i < load->count; i++) {
        if (load->entries[i]->good)
            list[count++] = load->entries[i]->good;
    }
    store = cert_store_new(list, count);
    free(list);
    return store;
}

static void load_clear(struct load *load)
{
    for (size_t i = 0; i < load->claim_key_count; i++)
        free(load->claim_keys[i]);
    free(load->claim_keys);
    free(load->claims);
    free(load->entries);
    table_clear(&load->claimed);
}

struct cert_store *cert_library_load(struct cert_library *library,
                                     const struct cert_source *sources, size_t count,
                                     struct cert_problems *problems)
{
    struct cert_findings findings = {.pair_count = 0};
    struct load load = {.library = library, .now_s = clock_wall_ms() / 1000};
    struct cert_store *store;

    library->loads++;
    for (size_t i = 0; i < count; i++)
        cert_folder_find(&sources[i], &findings);
    size_t claims_most = findings.loss_count + findings.pair_count + 1;
    load.entries =
        memory_array(findings.pair_count + library->entries.count + 1, sizeof(struct entry *));
    load.claims = memory_array(claims_most, sizeof(struct claim));
    load.claim_keys = memory_array(2 * claims_most, sizeof(char *));
    take_pairs(&load, &findings);
    look_at_all(&load);
    count_effort(&load);
    claim_losses(&load, &findings);
    claim_broken(&load);
    keep_claimed(&load);
    tell_problems(&load, problems);
    store = make_store(&load);
    load_clear(&load);
    cert_findings_clear(&findings);
    return store;
}

struct cert_load_counts cert_library_counts(const struct cert_library *library)
{
    return library->counts;
}

/* --- the library ------------------------------------------------------------------------------ */

struct cert_library *cert_library_new(void)
{
    return memory_new(sizeof(struct cert_library));
}

void cert_library_commit(struct cert_library *library)
{
    struct table kept = {.count = 0};
    struct table_entry *slot;

    for (size_t at = 0; (slot = table_next(&library->entries, &at)) != NULL;) {
        struct entry *entry = slot->value;

        if (entry->last_load == library->loads)
            table_put(&kept, entry_id(entry), entry);
        else
            entry_free(entry);
    }
    table_clear(&library->entries);
    library->entries = kept;
}

void cert_library_free(struct cert_library *library)
{
    struct table_entry *slot;

    if (!library)
        return;
    for (size_t at = 0; (slot = table_next(&library->entries, &at)) != NULL;)
        entry_free(slot->value);
    table_clear(&library->entries);
    free(library);
}
