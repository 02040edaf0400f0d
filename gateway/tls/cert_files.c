#include "tls/cert_files.h"

#include "base/log.h"
#include "base/table.h"
#include "tls/pem_file.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* File systems write the time of the kernel's last tick, 10 ms ago at most, with some to spare.
 * Some keep whole seconds, or every other one. */
static const int64_t second_ns = 1000 * 1000 * 1000;
static const int64_t fresh_ns = 50 * 1000 * 1000, fresh_whole_ns = 2 * second_ns;

struct stamp {
    uint64_t device, inode, size;
    int64_t changed_ns, written_ns;
    int64_t error; /* of stat; 0: it is there */
};

static int64_t to_ns(const struct timespec *time)
{
    return time->tv_sec * second_ns + time->tv_nsec;
}

static struct stamp take_stamp(const char *path)
{
    struct stat status;

    if (!path)
        return (struct stamp){.error = ENOENT};
    if (stat(path, &status) != 0)
        return (struct stamp){.error = errno};
    return (struct stamp){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .changed_ns = to_ns(&status.st_ctim),
        .written_ns = to_ns(&status.st_mtim),
    };
}

static bool is_fresh(int64_t time_ns, int64_t now_ns)
{
    return time_ns > now_ns - (time_ns % second_ns == 0 ? fresh_whole_ns : fresh_ns);
}

struct cert_stamps cert_stamps_take(const struct cert_paths *paths)
{
    const char *const files[] = {paths->chain, paths->key, paths->ocsp};
    struct stamp stamps[3];
    struct cert_stamps taken = {.is_fresh = false};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < 3; i++) {
        stamps[i] = take_stamp(files[i]);
        taken.is_fresh |= is_fresh(stamps[i].changed_ns, to_ns(&now)) ||
                          is_fresh(stamps[i].written_ns, to_ns(&now));
    }
    taken.digest = hash_bytes(slice_make((const char *)stamps, sizeof(stamps)));
    return taken;
}

/* The OCSP file is not needed: one that cannot be read is only spoken of. */
static void read_ocsp(const char *path, struct cert_bytes *bytes)
{
    struct error error;
    bool is_missing;

    if (!path || file_bytes_read(path, &bytes->ocsp, &is_missing, &error) || is_missing)
        return;
    log_event(LOG_WARN, "ocsp_ignored", "%s", error.message);
    bytes->lacks_ocsp = true;
}

bool cert_bytes_read(const struct cert_paths *paths, struct cert_bytes *bytes, struct error *error)
{
    bool is_bundle = strcmp(paths->chain, paths->key) == 0;

    *bytes = (struct cert_bytes){.lacks_ocsp = false};
    if (!file_bytes_read(paths->chain, &bytes->chain, NULL, error) ||
        (!is_bundle && !file_bytes_read(paths->key, &bytes->key, NULL, error))) {
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
