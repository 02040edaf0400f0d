/* PEM files and OCSP responses, as an operator's broken disk or renewal script might leave them. */
#include "tls/ocsp.h"
#include "tls/pem_file.h"

#include "tls/cert_names.h"

#include <openssl/err.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input = slice_make((const char *)bytes, length);
    static const char serial[] = {1, 2, 3};
    struct pem_content content;
    int64_t expires;
    struct error error;

    if (length > PEM_FILE_MAX)
        return 0;
    ocsp_find_fault(input, slice_make(serial, sizeof(serial)), 1700000000, &expires);
    if (!pem_parse(input, "fuzz.pem", &content, &error))
        return 0;
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
    ERR_clear_error();
    return 0;
}
