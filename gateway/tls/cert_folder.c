#include "tls/cert_folder.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is in one folder. */
struct listing {
    char **files, **folders; /* sorted names */
    size_t file_count, folder_count;
};

struct search {
    const struct cert_source *source;
    struct cert_findings *findings;
};

static char *join(const char *folder, const char *name)
{
    size_t length = strlen(folder);

    while (length > 1 && folder[length - 1] == '/')
        length--;
    return memory_print("%.*s/%s", (int)length, folder, name);
}

struct slice cert_path_stem(const char *path)
{
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');

    return slice_make(path, dot ? (size_t)(dot - path) : strlen(path));
}

char *cert_path_beside(const char *path, const char *suffix)
{
    struct slice stem = cert_path_stem(path);

    return memory_print("%.*s%s", (int)stem.len, stem.at, suffix);
}

static bool has_suffix(const char *name, const char *suffix)
{
    return slice_ends_with(slice_of(name), slice_of(suffix)) && strlen(name) > strlen(suffix);
}

/* --- what is found ---------------------------------------------------------------------------- */

/* Room for one more: grows by doubling. */
static void *make_room(void *list, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;

    return is_full ? memory_resize(list, (count ? 2 * count : 1) * size) : list;
}

static void report(struct search *search, enum cert_loss_kind kind, const char *path,
                   const struct error *error)
{
    struct cert_findings *findings = search->findings;

    findings->losses = make_room(findings->losses, findings->loss_count, sizeof(struct cert_loss));
    findings->losses[findings->loss_count++] = (struct cert_loss){
        .kind = kind,
        .path = slice_duplicate(slice_of(path)),
        .message = slice_duplicate(slice_of(error->message)),
        .position = search->source->position,
    };
}

/* Borrows the paths. */
static void add_pair(struct search *search, const char *chain, const char *key)
{
    struct cert_findings *findings = search->findings;

    findings->pairs = make_room(findings->pairs, findings->pair_count, sizeof(struct cert_pair));
    findings->pairs[findings->pair_count++] = (struct cert_pair){
        .chain = slice_duplicate(slice_of(chain)),
        .key = slice_duplicate(slice_of(key)),
        .position = search->source->position,
    };
}

void cert_findings_clear(struct cert_findings *findings)
{
    for (size_t i = 0; i < findings->pair_count; i++) {
        free(findings->pairs[i].chain);
        free(findings->pairs[i].key);
    }
    for (size_t i = 0; i < findings->loss_count; i++) {
        free(findings->losses[i].path);
        free(findings->losses[i].message);
    }
    free(findings->pairs);
    free(findings->losses);
    *findings = (struct cert_findings){.pair_count = 0};
}

/* --- one folder ------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_name(char ***names, size_t *count, const char *name)
{
    *names = make_room(*names, *count, sizeof(**names));
    (*names)[(*count)++] = slice_duplicate(slice_of(name));
}

static bool is_of_interest(const char *name)
{
    return has_suffix(name, ".pem") || has_suffix(name, ".crt") || has_suffix(name, ".key");
}

enum entry_kind { ENTRY_GONE, ENTRY_UNREADABLE, ENTRY_FILE, ENTRY_FOLDER };

/* On ENTRY_UNREADABLE errno says why. */
static enum entry_kind find_kind(const char *path, unsigned char type)
{
    struct stat status;

    if (type == DT_REG)
        return ENTRY_FILE;
    if (type == DT_DIR)
        return ENTRY_FOLDER;
    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? ENTRY_FOLDER : ENTRY_FILE;
    int reason = errno;
    bool is_gone = lstat(path, &status) != 0 && errno == ENOENT;
    errno = reason;
    return is_gone ? ENTRY_GONE : ENTRY_UNREADABLE;
}

/* It may have been a folder with certificates until now. */
static void suspect_folder(struct search *search, const char *path)
{
    struct error error;

    error_set(&error, "%s cannot be read: %s", path, strerror(errno));
    report(search, CERT_LOSS_FOLDER, path, &error);
    search->findings->losses[search->findings->loss_count - 1].is_quiet = true;
}

static void list_entry(struct search *search, const char *folder, const struct dirent *entry,
                       struct listing *listing)
{
    char *path = join(folder, entry->d_name);
    enum entry_kind kind = find_kind(path, entry->d_type);

    if (kind == ENTRY_FOLDER)
        add_name(&listing->folders, &listing->folder_count, entry->d_name);
    else if (kind != ENTRY_GONE && is_of_interest(entry->d_name))
        add_name(&listing->files, &listing->file_count, entry->d_name);
    else if (kind == ENTRY_UNREADABLE)
        suspect_folder(search, path);
    free(path);
}

static void report_folder(struct search *search, const char *folder)
{
    struct error error;

    error_set(&error, "the folder %s cannot be read: %s", folder, strerror(errno));
    report(search, CERT_LOSS_FOLDER, folder, &error);
}

/* A sub-folder may go at any time; that the source itself is there was seen a moment ago. */
static void list_folder(struct search *search, const char *folder, struct listing *listing)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    *listing = (struct listing){.file_count = 0};
    if (!dir) {
        if (errno != ENOENT || strcmp(folder, search->source->path) == 0)
            report_folder(search, folder);
        return;
    }
    for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
        if (entry->d_name[0] != '.')
            list_entry(search, folder, entry, listing);
    }
    if (errno != 0)
        report_folder(search, folder);
    closedir(dir);
    if (listing->file_count > 0)
        qsort(listing->files, listing->file_count, sizeof(char *), compare_texts);
    if (listing->folder_count > 0)
        qsort(listing->folders, listing->folder_count, sizeof(char *), compare_texts);
}

static void listing_clear(struct listing *listing)
{
    for (size_t i = 0; i < listing->file_count; i++)
        free(listing->files[i]);
    for (size_t i = 0; i < listing->folder_count; i++)
        free(listing->folders[i]);
    free(listing->files);
    free(listing->folders);
}

static bool has_file(const struct listing *listing, const char *name)
{
    return listing->file_count > 0 &&
           bsearch(&name, listing->files, listing->file_count, sizeof(char *), compare_texts);
}

static bool has_beside(const struct listing *listing, const char *name, const char *suffix)
{
    char *beside = cert_path_beside(name, suffix);
    bool is_there = has_file(listing, beside);

    free(beside);
    return is_there;
}

/* Files that come along with a pair and are not to be served by themselves. */
static bool is_companion(const struct listing *listing, const char *name)
{
    if (strcmp(name, "cert.pem") == 0 || strcmp(name, "chain.pem") == 0 ||
        strcmp(name, "privkey.pem") == 0)
        return has_file(listing, "fullchain.pem");
    return strcmp(name, "ca.crt") == 0 && has_file(listing, "tls.crt");
}

static void take_file(struct search *search, const char *folder, const struct listing *listing,
                      const char *name)
{
    char *path = join(folder, name);
    char *key = cert_path_beside(path, ".key");
    struct error error;

    if (has_suffix(name, ".key")) {
        if (!has_beside(listing, name, ".crt") && !has_beside(listing, name, ".pem")) {
            char *missing = cert_path_beside(path, "");

            error_set(&error, "%s is a key alone: its certificate, %s.crt or %s.pem, is missing",
                      path, missing, missing);
            report(search, CERT_LOSS_KEY_ALONE, path, &error);
            free(missing);
        }
    } else if (has_beside(listing, name, ".key")) {
        add_pair(search, path, key);
    } else if (strcmp(name, "fullchain.pem") == 0 && has_file(listing, "privkey.pem")) {
        free(key);
        key = join(folder, "privkey.pem");
        add_pair(search, path, key);
    } else if (!is_companion(listing, name)) {
        add_pair(search, path, path);
    }
    free(path);
    free(key);
}

/* certbot keeps keys and requests that are served from elsewhere beside its folder "live". */
static bool is_certbots_own(const char *name)
{
    return strcmp(name, "keys") == 0 || strcmp(name, "csr") == 0;
}

static void search_folder(struct search *search, const char *folder, unsigned levels)
{
    struct listing listing;
    bool has_live = false;

    list_folder(search, folder, &listing);
    for (size_t i = 0; i < listing.file_count; i++)
        take_file(search, folder, &listing, listing.files[i]);
    for (size_t i = 0; i < listing.folder_count; i++)
        has_live = has_live || strcmp(listing.folders[i], "live") == 0;
    for (size_t i = 0; i < listing.folder_count && levels > 0; i++) {
        const char *name = listing.folders[i];
        char *path;

        if (has_live && is_certbots_own(name))
            continue;
        path = join(folder, name);
        search_folder(search, path, strcmp(name, "live") == 0 ? levels : levels - 1);
        free(path);
    }
    listing_clear(&listing);
}

/* --- sources ---------------------------------------------------------------------------------- */

static void search_file(struct search *search, const char *path)
{
    char *key = cert_path_beside(path, ".key");
    struct stat status;

    add_pair(search, path, stat(key, &status) == 0 ? key : path);
    free(key);
}

static bool has_loud_loss(const struct cert_findings *findings, size_t from)
{
    for (size_t i = from; i < findings->loss_count; i++) {
        if (!findings->losses[i].is_quiet)
            return true;
    }
    return false;
}

void cert_folder_find(const struct cert_source *source, struct cert_findings *findings)
{
    struct search search = {.source = source, .findings = findings};
    size_t pairs_before = findings->pair_count, losses_before = findings->loss_count;
    struct error error;
    struct stat status;

    if (source->kind == CERT_SOURCE_PAIR) {
        add_pair(&search, source->path, source->key);
        return;
    }
    if (stat(source->path, &status) != 0) {
        error_set(&error, "%s cannot be read: %s; put certificates there, or change \"certs\"",
                  source->path, strerror(errno));
        report(&search, CERT_LOSS_SOURCE, source->path, &error);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        search_file(&search, source->path);
        return;
    }
    search_folder(&search, source->path, 1);
    if (findings->pair_count > pairs_before || has_loud_loss(findings, losses_before))
        return;
    error_set(&error,
              "the folder %s holds no certificate: put NAME.pem there, or NAME.crt and NAME.key",
              source->path);
    report(&search, CERT_LOSS_FOLDER, source->path, &error);
}
