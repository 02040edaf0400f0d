#include "tls/cert_files.h"

#include "base/file_stamp.h"
#include "base/log.h"
#include "base/table.h"
#include "tls/pem_file.h"

#include <openssl/sha.h>
#include <string.h>

struct cert_stamps cert_stamps_take(const struct cert_paths *paths)
{
    const char *const files[] = {paths->chain, paths->key, paths->ocsp};
    struct file_stamp stamps[3];
    struct cert_stamps taken = {.is_fresh = false};

    for (size_t i = 0; i < 3; i++) {
        stamps[i] = file_stamp_take(files[i]);
        taken.is_fresh |= file_stamp_is_fresh(&stamps[i]);
    }
    taken.digest = hash_bytes(slice_make((const char *)stamps, sizeof(stamps)));
    return taken;
}

/* The OCSP file is not needed: one that cannot be read is only spoken of. */
static void read_ocsp(const char *path, struct cert_bytes *bytes)
{
    struct error error;
    bool is_missing;

    if (!path || file_bytes_read(path, PEM_FILE_MAX, &bytes->ocsp, &is_missing, &error) ||
        is_missing)
        return;
    log_event(LOG_WARN, "ocsp_ignored", "%s", error.message);
    bytes->lacks_ocsp = true;
}

bool cert_bytes_read(const struct cert_paths *paths, struct cert_bytes *bytes, struct error *error)
{
    bool is_bundle = strcmp(paths->chain, paths->key) == 0;

    *bytes = (struct cert_bytes){.lacks_ocsp = false};
    if (!file_bytes_read(paths->chain, PEM_FILE_MAX, &bytes->chain, NULL, error) ||
        (!is_bundle && !file_bytes_read(paths->key, PEM_FILE_MAX, &bytes->key, NULL, error))) {
        cert_bytes_clear(bytes);
        return false;
    }
    read_ocsp(paths->ocsp, bytes);
    return true;
}

uint64_t cert_bytes_fingerprint(const struct cert_bytes *bytes)
{
    const struct slice parts[] = {bytes->chain, bytes->key, bytes->ocsp};
    uint8_t hash[SHA256_DIGEST_LENGTH];
    uint64_t value;
    SHA256_CTX sha;

    SHA256_Init(&sha);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t length = parts[i].len;

        SHA256_Update(&sha, &length, sizeof(length));
        SHA256_Update(&sha, parts[i].at, parts[i].len);
    }
    SHA256_Final(hash, &sha);
    memcpy(&value, hash, sizeof(value));
    return value;
}

void cert_bytes_clear(struct cert_bytes *bytes)
{
    file_bytes_free(bytes->chain);
    file_bytes_free(bytes->key);
    file_bytes_free(bytes->ocsp);
    *bytes = (struct cert_bytes){.lacks_ocsp = false};
}
