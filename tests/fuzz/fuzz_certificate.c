/* Certificate files as an operator's broken disk or renewal script might leave them: PEM, a chain
 * with its key (PKCS #8, PKCS #1, SEC 1), OCSP responses; and names of files in a folder.
 *
 * Input: "p" and a chain, its key and its OCSP response, parted by zero bytes, in which bytes from
 * 1 to 8 stand for texts made here and editing (expand); "f" and the names of a folder's files,
 * each ended by a zero byte; else one file. */
#include "base/buffer.h"
#include "base/check.h"
#include "base/log.h"
#include "support/test_certs.h"
#include "tls/cert_folder.h"
#include "tls/cert_names.h"
#include "tls/internal.h"
#include "tls/ocsp.h"
#include "tls/pem_file.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_file(struct slice input)
{
    static const char serial[] = {1, 2, 3};
    struct pem_content content;
    int64_t expires;
    struct error error;

    ocsp_find_fault(input, slice_make(serial, sizeof(serial)), 1700000000, &expires);
    if (!pem_parse(input, "fuzz.pem", &content, &error))
        return;
    for (size_t i = 0; i < content.count; i++) {
        X509 *x509 = X509_parse_from_buffer(content.chain[i]);
        struct cert_names names = {.count = 0};

        if (x509 && cert_names_read(x509, &names)) {
            uint8_t hash[32];

            cert_names_hash(&names, hash);
        }
        cert_names_clear(&names);
        X509_free(x509);
    }
    pem_content_clear(&content);
}

/* The part up to the first zero byte, taken off the front. */
static struct slice take_part(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, '\0');
    struct slice part = slice_make(rest->at, end < 0 ? rest->len : (size_t)end);

    *rest = slice_skip(*rest, end < 0 ? part.len : part.len + 1);
    return part;
}

/* What is served must be whole: names can be asked for, and it covers those that it has. */
static void check_certificate(const struct certificate *certificate)
{
    const struct slice *names;
    int count = certificate_names(certificate, &names);
    struct cert_identity identity;

    assert(certificate_context(certificate) != NULL);
    assert(cert_key_name(certificate_key(certificate)) != NULL);
    certificate_identify(certificate, &identity);
    for (int i = 0; i < count; i++)
        if (names[i].len > 0 && slice_find(names[i], '*') < 0)
            assert(certificate_covers(certificate, names[i]));
}

/* --- pairs ---------------------------------------------------------------------------------- */

/* What stands in an input for PEM and DER that no corpus may hold or that a fuzzer cannot guess. */
enum made {
    MADE_EC_CHAIN = 1,
    MADE_EC_PKCS8,
    MADE_EC_SEC1,
    MADE_RSA_CHAIN,
    MADE_RSA_PKCS8,
    MADE_RSA_PKCS1,
    MADE_OCSP, /* of the EC certificate */
    MADE_COUNT,
    CUT_THE_END = MADE_COUNT /* and the next byte says how much, in words of four */
};

static char *made[MADE_COUNT];
static size_t made_bytes[MADE_COUNT];

static void keep(enum made which, char *text, size_t length)
{
    made[which] = text;
    made_bytes[which] = length;
}

/* The key alone in the form that its algorithm had before PKCS #8. */
static void keep_traditional(enum made which, const EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *content;
    size_t length;

    if (EVP_PKEY_id(key) == EVP_PKEY_RSA)
        PEM_write_bio_RSAPrivateKey(bio, EVP_PKEY_get0_RSA(key), NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(key), NULL, NULL, 0, NULL, NULL);
    assert(BIO_mem_contents(bio, &content, &length) && length > 0);
    keep(which, slice_duplicate(slice_make((const char *)content, length)), length);
    BIO_free(bio);
}

static void keep_text(enum made which, char *text)
{
    keep(which, text, strlen(text));
}

static void free_made(void)
{
    for (int i = 1; i < MADE_COUNT; i++)
        free(made[i]);
}

static void make_texts(void)
{
    struct test_cert ec = test_cert_make(
        &(struct test_cert_spec){.key = CERT_KEY_ECDSA_P256, .names = "a.test,*.b.test,::1"});
    struct test_cert rsa =
        test_cert_make(&(struct test_cert_spec){.key = CERT_KEY_RSA, .names = "rsa.test"});
    uint8_t *der;
    size_t length = test_ocsp_make(&ec, 0, 3600, &der);

    keep_text(MADE_EC_CHAIN, test_cert_pem(&ec));
    keep_text(MADE_EC_PKCS8, test_key_pem(&ec));
    keep_traditional(MADE_EC_SEC1, ec.key);
    keep_text(MADE_RSA_CHAIN, test_cert_pem(&rsa));
    keep_text(MADE_RSA_PKCS8, test_key_pem(&rsa));
    keep_traditional(MADE_RSA_PKCS1, rsa.key);
    keep(MADE_OCSP, slice_duplicate(slice_make((const char *)der, length)), length);
    OPENSSL_free(der);
    test_cert_clear(&ec);
    test_cert_clear(&rsa);
    atexit(free_made);
}

static void expand(struct slice input, struct buffer *out)
{
    for (size_t i = 0; i < input.len; i++) {
        unsigned char c = (unsigned char)input.at[i];

        if (c > 0 && c < MADE_COUNT) {
            buffer_append(out, slice_make(made[c], made_bytes[c]));
        } else if (c == CUT_THE_END && i + 1 < input.len) {
            size_t cut = (size_t)(unsigned char)input.at[++i] * 4;

            out->end -= (uint32_t)(cut < buffer_length(out) ? cut : buffer_length(out));
        } else {
            buffer_append(out, slice_make(input.at + i, 1));
        }
    }
}

static void read_pair(struct slice input)
{
    struct cert_paths paths = {.chain = "fuzz.crt", .key = "fuzz.key", .ocsp = "fuzz.ocsp"};
    struct buffer files[3] = {0};
    struct certificate *certificate;
    struct error error = {0};

    if (made[MADE_EC_CHAIN] == NULL)
        make_texts();
    for (int i = 0; i < 3; i++)
        expand(i < 2 ? take_part(&input) : input, &files[i]);
    struct cert_bytes bytes = {.chain = buffer_content(&files[0]),
                               .key = buffer_content(&files[1]),
                               .ocsp = buffer_content(&files[2])};
    if (bytes.key.len == 0)
        paths.key = paths.chain;
    certificate = certificate_parse(&paths, &bytes, &error);
    assert(certificate != NULL || error.message[0] != '\0');
    if (certificate != NULL)
        check_certificate(certificate);
    certificate_unref(certificate);
    for (int i = 0; i < 3; i++)
        buffer_clear(&files[i]);
    buffer_cache_clear();
}

/* --- folders -------------------------------------------------------------------------------- */

enum { FILES_MAX = 16 };

static char folder[] = "/tmp/sallyport-fuzz-XXXXXX";
static bool is_folder_made;

static void remove_folder(void)
{
    rmdir(folder);
}

/* Fills the folder with empty files of these names. "a/" would be a sub-folder: not made here. */
static unsigned make_files(int at, struct slice input, char names[FILES_MAX][256])
{
    unsigned count = 0;

    while (count < FILES_MAX && input.len > 0) {
        struct slice part = take_part(&input);

        if (part.len == 0 || part.len > 255 || slice_find(part, '/') >= 0)
            continue;
        slice_copy_text(part, names[count], sizeof(names[count]));
        int fd = openat(at, names[count], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            continue; /* "." or twice the same */
        close(fd);
        count++;
    }
    return count;
}

static void look_into_folder(struct slice input)
{
    struct cert_source source = {.kind = CERT_SOURCE_PATH, .path = folder};
    struct cert_findings findings = {0};
    char names[FILES_MAX][256];

    if (!is_folder_made) {
        if (mkdtemp(folder) == NULL)
            abort();
        is_folder_made = true;
        atexit(remove_folder);
    }
    int at = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    unsigned count = make_files(at, input, names);
    cert_folder_find(&source, &findings);
    assert(findings.pair_count <= count);
    for (size_t i = 0; i < findings.pair_count; i++) {
        struct slice chain = slice_of(findings.pairs[i].chain);

        assert(access(findings.pairs[i].chain, F_OK) == 0);
        assert(access(findings.pairs[i].key, F_OK) == 0);
        assert(chain.at[slice_find_last(chain, '/') + 1] != '.');
    }
    cert_findings_clear(&findings);
    for (unsigned i = 0; i < count; i++)
        unlinkat(at, names[i], 0);
    close(at);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input = slice_make((const char *)bytes, length);

    if (length > 65536)
        return 0;
    log_configure(LOG_ERROR, LOG_TEXT); /* what is ignored of a response is a warning */
    if (length > 0 && bytes[0] == 'p')
        read_pair(slice_skip(input, 1));
    else if (length > 0 && bytes[0] == 'f')
        look_into_folder(slice_skip(input, 1));
    else
        read_file(input);
    ERR_clear_error();
    return 0;
}
