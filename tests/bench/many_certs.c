/* A folder of certificates as a large site has it: made fast, each with a key of its own.
 *
 * usage: many_certs FOLDER COUNT [FIRST]     hostN.test.crt and .key for N from FIRST (0) on
 *        many_certs FOLDER 1 N               makes one of them anew: a renewal
 *
 * ECDSA P-256; each chain is the leaf for hostN.test and the intermediate that signed it. The
 * authority is in FOLDER/.ca/, made if it is missing. Files are replaced by rename, key first.
 * Build: cc -O2 many_certs.c -o many_certs -lcrypto (OpenSSL's). */
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct authority {
    EVP_PKEY *key;
    X509 *x509;
};

static void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);

    if (!file)
        fail(path);
    return file;
}

/* --- one certificate -------------------------------------------------------------------------- */

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    if (!extension || !X509_add_ext(x509, extension, -1))
        fail("extension");
    X509_EXTENSION_free(extension);
}

/* `by` NULL: signed by itself. `host` NULL: an authority. */
static X509 *make_x509(EVP_PKEY *key, const struct authority *by, const char *name,
                       const char *host)
{
    X509 *x509 = X509_new();
    X509_NAME *subject = X509_get_subject_name(x509);
    unsigned char serial[8];
    char names[300];

    RAND_bytes(serial, sizeof(serial));
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    BN_free(number);
    X509_set_version(x509, 2);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, by ? X509_get_subject_name(by->x509) : subject);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 47L * 24 * 3600);
    X509_set_pubkey(x509, key);
    add_extension(x509, NID_basic_constraints, host ? "CA:FALSE" : "critical,CA:TRUE");
    if (host) {
        snprintf(names, sizeof(names), "DNS:%s,DNS:www.%s", host, host);
        add_extension(x509, NID_subject_alt_name, names);
        add_extension(x509, NID_ext_key_usage, "serverAuth");
    }
    if (!X509_sign(x509, by ? by->key : key, EVP_sha256()))
        fail("sign");
    return x509;
}

static struct authority make_authority(const char *path, const struct authority *by,
                                       const char *name)
{
    struct authority made = {.key = EVP_EC_gen("P-256")};
    FILE *file = open_file(path, "w");

    made.x509 = make_x509(made.key, by, name, NULL);
    if (!PEM_write_X509(file, made.x509) ||
        !PEM_write_PKCS8PrivateKey(file, made.key, NULL, NULL, 0, NULL, NULL) || fclose(file) != 0)
        fail(path);
    return made;
}

/* The intermediate in FOLDER/.ca, which signs everything. */
static struct authority take_authority(const char *folder)
{
    char path[4096];
    struct authority found = {NULL, NULL};

    snprintf(path, sizeof(path), "%s/.ca", folder);
    if (mkdir(path, 0700) == 0) {
        snprintf(path, sizeof(path), "%s/.ca/root.pem", folder);
        struct authority root = make_authority(path, NULL, "many_certs root");
        snprintf(path, sizeof(path), "%s/.ca/intermediate.pem", folder);
        return make_authority(path, &root, "many_certs intermediate");
    }
    snprintf(path, sizeof(path), "%s/.ca/intermediate.pem", folder);
    FILE *file = open_file(path, "r");
    found.x509 = PEM_read_X509(file, NULL, NULL, NULL);
    found.key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!found.x509 || !found.key)
        fail(path);
    return found;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Where to write it, and where it belongs then. */
struct target {
    char fresh[4096], path[4096];
    FILE *file;
};

static void target_open(struct target *target, const char *folder, long number, const char *suffix)
{
    snprintf(target->fresh, sizeof(target->fresh), "%s/.host%ld%s", folder, number, suffix);
    snprintf(target->path, sizeof(target->path), "%s/host%ld.test%s", folder, number, suffix);
    target->file = open_file(target->fresh, "w");
}

static void target_finish(struct target *target)
{
    if (fclose(target->file) != 0 || rename(target->fresh, target->path) != 0)
        fail(target->path);
}

static void make_pair(const char *folder, const struct authority *by, long number)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct target chain, private;
    char host[64];

    snprintf(host, sizeof(host), "host%ld.test", number);
    X509 *x509 = make_x509(key, by, host, host);
    target_open(&chain, folder, number, ".crt");
    target_open(&private, folder, number, ".key");
    if (!PEM_write_X509(chain.file, x509) || !PEM_write_X509(chain.file, by->x509) ||
        !PEM_write_PKCS8PrivateKey(private.file, key, NULL, NULL, 0, NULL, NULL))
        fail(chain.fresh);
    target_finish(&private);
    target_finish(&chain);
    X509_free(x509);
    EVP_PKEY_free(key);
}

int main(int count, char **arguments)
{
    long pairs = count > 2 ? atol(arguments[2]) : 0, first = count > 3 ? atol(arguments[3]) : 0;

    if (count < 3 || count > 4 || pairs < 1 || first < 0) {
        fprintf(stderr, "usage: many_certs FOLDER COUNT [FIRST]\n");
        return 2;
    }
    if (mkdir(arguments[1], 0700) != 0 && errno != EEXIST)
        fail(arguments[1]);
    struct authority by = take_authority(arguments[1]);
    for (long i = 0; i < pairs; i++)
        make_pair(arguments[1], &by, first + i);
    return 0;
}
