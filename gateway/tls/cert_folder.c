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
    struct cert_pairs *pairs;
    struct cert_problems *problems;
};

static char *join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    char *path;

    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (asprintf(&path, "%.*s/%s", (int)length, folder, name) < 0)
        abort();
    return path;
}

/* "a/b.crt", ".key" -> "a/b.key" */
static char *with_suffix(const char *path, const char *suffix)
{
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');
    char *changed;

    if (asprintf(&changed, "%.*s%s", (int)(dot ? dot - path : (ptrdiff_t)strlen(path)), path,
                 suffix) < 0)
        abort();
    return changed;
}

static bool has_suffix(const char *name, const char *suffix)
{
    return slice_ends_with(slice_of(name), slice_of(suffix)) && strlen(name) > strlen(suffix);
}

/* --- what is found ---------------------------------------------------------------------------- */

void cert_problems_add(struct cert_problems *problems, const char *file, unsigned position,
                       const char *message)
{
    problems->list = memory_resize(problems->list, (problems->count + 1) * sizeof(*problems->list));
    problems->list[problems->count++] = (struct cert_problem){
        .file = slice_duplicate(slice_of(file)),
        .message = slice_duplicate(slice_of(message)),
        .position = position,
    };
}

static void report(struct search *search, const char *file, struct error *error)
{
    cert_problems_add(search->problems, file, search->source->position, error->message);
}

/* Borrows the paths. */
static void add_pair(struct search *search, const char *chain, const char *key)
{
    struct cert_pairs *pairs = search->pairs;

    pairs->list = memory_resize(pairs->list, (pairs->count + 1) * sizeof(*pairs->list));
    pairs->list[pairs->count++] = (struct cert_pair){
        .chain = slice_duplicate(slice_of(chain)),
        .key = slice_duplicate(slice_of(key)),
        .ocsp = with_suffix(chain, ".ocsp"),
        .position = search->source->position,
    };
}

void cert_pairs_clear(struct cert_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->list[i].chain);
        free(pairs->list[i].key);
        free(pairs->list[i].ocsp);
    }
    free(pairs->list);
    *pairs = (struct cert_pairs){.count = 0};
}

/* --- one folder ------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_name(char ***names, size_t *count, const char *name)
{
    *names = memory_resize(*names, (*count + 1) * sizeof(**names));
    (*names)[(*count)++] = slice_duplicate(slice_of(name));
}

static bool is_of_interest(const char *name)
{
    return has_suffix(name, ".pem") || has_suffix(name, ".crt") || has_suffix(name, ".key");
}

static void list_entry(struct search *search, const char *folder, const char *name,
                       struct listing *listing)
{
    char *path = join(folder, name);
    struct error error;
    struct stat status;

    if (stat(path, &status) != 0) {
        if (is_of_interest(name)) {
            error_set(&error, "%s cannot be read: %s", path, strerror(errno));
            report(search, path, &error);
        }
    } else if (S_ISDIR(status.st_mode)) {
        add_name(&listing->folders, &listing->folder_count, name);
    } else if (is_of_interest(name)) {
        add_name(&listing->files, &listing->file_count, name);
    }
    free(path);
}

static bool list_folder(struct search *search, const char *folder, struct listing *listing)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    *listing = (struct listing){.file_count = 0};
    if (!dir) {
        struct error error;

        error_set(&error, "the folder %s cannot be read: %s", folder, strerror(errno));
        report(search, folder, &error);
        return false;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            list_entry(search, folder, entry->d_name, listing);
    }
    closedir(dir);
    if (listing->file_count > 0)
        qsort(listing->files, listing->file_count, sizeof(char *), compare_texts);
    if (listing->folder_count > 0)
        qsort(listing->folders, listing->folder_count, sizeof(char *), compare_texts);
    return true;
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
    char *beside = with_suffix(name, suffix);
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
    char *key = with_suffix(path, ".key");
    struct error error;

    if (has_suffix(name, ".key")) {
        if (!has_beside(listing, name, ".crt") && !has_beside(listing, name, ".pem")) {
            char *missing = with_suffix(path, "");

            error_set(&error, "%s is a key alone: its certificate, %s.crt or %s.pem, is missing",
                      path, missing, missing);
            report(search, path, &error);
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

    if (!list_folder(search, folder, &listing))
        return;
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
    char *key = with_suffix(path, ".key");
    struct stat status;

    add_pair(search, path, stat(key, &status) == 0 ? key : path);
    free(key);
}

void cert_folder_find(const struct cert_source *source, struct cert_pairs *pairs,
                      struct cert_problems *problems)
{
    struct search search = {.source = source, .pairs = pairs, .problems = problems};
    size_t pairs_before = pairs->count, problems_before = problems->count;
    struct error error;
    struct stat status;

    if (source->kind == CERT_SOURCE_PAIR) {
        add_pair(&search, source->path, source->key);
        return;
    }
    if (stat(source->path, &status) != 0) {
        error_set(&error, "%s cannot be read: %s; put certificates there, or change \"certs\"",
                  source->path, strerror(errno));
        report(&search, source->path, &error);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        search_file(&search, source->path);
        return;
    }
    search_folder(&search, source->path, 1);
    if (pairs->count == pairs_before && problems->count == problems_before) {
        error_set(
            &error,
            "the folder %s holds no certificate: put NAME.pem there, or NAME.crt and NAME.key",
            source->path);
        report(&search, source->path, &error);
    }
}
