/* Many certificates in little time: a root, an intermediate that it signed, and leaves with keys of
 * their own (ECDSA P-256), each NAME.crt (leaf and intermediate) and NAME.key.
 *
 * usage: make_certs FOLDER FIRST COUNT    host-FIRST.example and the COUNT-1 that follow; those
 * that are there are replaced, key first, in a rename each
 *
 * The intermediate stays in FOLDER/.ca for the next call. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY (24L * 60 * 60)

struct issuer {
    X509 *certificate;
    EVP_PKEY *key;
};

static const char *folder;

static void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* --- certificates --------------------------------------------------------------------------------
 */

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL || !X509_add_ext(certificate, extension, -1))
        fail(value);
    X509_EXTENSION_free(extension);
}

/* Signed by the issuer; by itself when that is NULL. */
static struct issuer make(const char *name, const struct issuer *issuer, int days)
{
    static long serial;
    struct issuer made = {X509_new(), EVP_EC_gen("P-256")};
    struct issuer by = issuer != NULL ? *issuer : made;
    X509_NAME *subject = X509_get_subject_name(made.certificate);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.certificate),
                            (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec +
                                (uint64_t)++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), days * DAY);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(by.certificate));
    X509_set_pubkey(made.certificate, made.key);
    add_extension(made.certificate, by.certificate, NID_subject_key_identifier, "hash");
    if (issuer != NULL)
        add_extension(made.certificate, by.certificate, NID_authority_key_identifier, "keyid");
    return made;
}

static void sign(X509 *certificate, EVP_PKEY *key)
{
    if (X509_sign(certificate, key, EVP_sha256()) == 0)
        fail("sign");
}

static struct issuer make_authority(const char *name, const struct issuer *issuer)
{
    struct issuer made = make(name, issuer, 3650);
    add_extension(made.certificate, made.certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(made.certificate, made.certificate, NID_key_usage,
                  "critical,keyCertSign,cRLSign");
    sign(made.certificate, issuer != NULL ? issuer->key : made.key);
    return made;
}

static struct issuer make_leaf(const char *name, const struct issuer *issuer)
{
    char names[300];
    snprintf(names, sizeof(names), "DNS:%s", name);
    struct issuer made = make(name, issuer, 90);
    add_extension(made.certificate, issuer->certificate, NID_basic_constraints,
                  "critical,CA:FALSE");
    add_extension(made.certificate, issuer->certificate, NID_key_usage,
                  "critical,digitalSignature");
    add_extension(made.certificate, issuer->certificate, NID_ext_key_usage, "serverAuth");
    add_extension(made.certificate, issuer->certificate, NID_subject_alt_name, names);
    sign(made.certificate, issuer->key);
    return made;
}

static void drop(struct issuer *made)
{
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
}

/* --- files ---------------------------------------------------------------------------------------
 */

static FILE *begin(const char *path, char *beside, size_t room)
{
    snprintf(beside, room, "%s.new", path);
    FILE *file = fopen(beside, "w");
    if (file == NULL)
        fail(beside);
    return file;
}

static void finish(FILE *file, const char *beside, const char *path)
{
    if (fclose(file) != 0 || rename(beside, path) != 0)
        fail(path);
}

static void write_key(EVP_PKEY *key, const char *path)
{
    char beside[4200];
    FILE *file = begin(path, beside, sizeof(beside));
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    finish(file, beside, path);
}

static void write_chain(X509 *first, X509 *second, const char *path)
{
    char beside[4200];
    FILE *file = begin(path, beside, sizeof(beside));
    PEM_write_X509(file, first);
    if (second != NULL)
        PEM_write_X509(file, second);
    finish(file, beside, path);
}

static struct issuer find_issuer(void)
{
    char chain[4096], key[4096], hidden[4096];
    struct issuer found;

    snprintf(hidden, sizeof(hidden), "%s/.ca", folder);
    snprintf(chain, sizeof(chain), "%s/.ca/ca.crt", folder);
    snprintf(key, sizeof(key), "%s/.ca/ca.key", folder);
    FILE *chain_file = fopen(chain, "r"), *key_file = fopen(key, "r");
    if (chain_file != NULL && key_file != NULL) {
        found.certificate = PEM_read_X509(chain_file, NULL, NULL, NULL);
        found.key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);
        fclose(chain_file);
        fclose(key_file);
        if (found.certificate == NULL || found.key == NULL)
            fail(chain);
        return found;
    }
    struct issuer root = make_authority("Bench Root", NULL);
    found = make_authority("Bench Intermediate", &root);
    drop(&root);
    mkdir(hidden, 0700);
    write_chain(found.certificate, NULL, chain);
    write_key(found.key, key);
    return found;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make_certs FOLDER FIRST COUNT\n");
        return 2;
    }
    folder = argv[1];
    mkdir(folder, 0755);
    struct issuer issuer = find_issuer();
    int first = atoi(argv[2]), count = atoi(argv[3]);
    for (int i = first; i < first + count; i++) {
        char name[64], path[4096];
        snprintf(name, sizeof(name), "host-%d.example", i);
        struct issuer leaf = make_leaf(name, &issuer);
        snprintf(path, sizeof(path), "%s/%s.key", folder, name);
        write_key(leaf.key, path);
        snprintf(path, sizeof(path), "%s/%s.crt", folder, name);
        write_chain(leaf.certificate, issuer.certificate, path);
        drop(&leaf);
    }
    drop(&issuer);
    return 0;
}
