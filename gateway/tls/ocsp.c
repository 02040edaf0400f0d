#include "tls/ocsp.h"

#include <openssl/bytestring.h>
#include <time.h>

static const unsigned context_0 = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0;

/* RFC 6960 section 4.2.1: down to the list of answers. */
static bool open_response(CBS *der, uint64_t *status, CBS *answers)
{
    CBS outer, code, wrapped, bytes, oid, octets, basic, tbs, skipped;

    if (!CBS_get_asn1(der, &outer, CBS_ASN1_SEQUENCE) || CBS_len(der) != 0 ||
        !CBS_get_asn1(&outer, &code, CBS_ASN1_ENUMERATED) || CBS_len(&code) != 1)
        return false;
    *status = CBS_data(&code)[0];
    CBS_init(answers, NULL, 0);
    if (*status != 0)
        return true;
    return CBS_get_asn1(&outer, &wrapped, context_0) &&
           CBS_get_asn1(&wrapped, &bytes, CBS_ASN1_SEQUENCE) &&
           CBS_get_asn1(&bytes, &oid, CBS_ASN1_OBJECT) &&
           CBS_get_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING) &&
           CBS_get_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) &&
           CBS_get_asn1(&basic, &tbs, CBS_ASN1_SEQUENCE) &&
           CBS_get_optional_asn1(&tbs, &skipped, NULL, context_0) && /* version */
           CBS_get_any_asn1(&tbs, &skipped, NULL) &&                 /* responderID */
           CBS_get_asn1(&tbs, &skipped, CBS_ASN1_GENERALIZEDTIME) && /* producedAt */
           CBS_get_asn1(&tbs, answers, CBS_ASN1_SEQUENCE);
}

static bool get_time(CBS *der, int64_t *posix)
{
    CBS text;
    struct tm tm;

    if (!CBS_get_asn1(der, &text, CBS_ASN1_GENERALIZEDTIME) ||
        !CBS_parse_generalized_time(&text, &tm, 0))
        return false;
    *posix = timegm(&tm);
    return true;
}

static bool open_answer(CBS *answers, CBS *serial, int64_t *next_update)
{
    CBS answer, id, skipped, next;
    int is_there;

    *next_update = INT64_MAX;
    if (!CBS_get_asn1(answers, &answer, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&answer, &id, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&id, &skipped, CBS_ASN1_SEQUENCE) ||    /* hashAlgorithm */
        !CBS_get_asn1(&id, &skipped, CBS_ASN1_OCTETSTRING) || /* issuerNameHash */
        !CBS_get_asn1(&id, &skipped, CBS_ASN1_OCTETSTRING) || /* issuerKeyHash */
        !CBS_get_asn1(&id, serial, CBS_ASN1_INTEGER) ||
        !CBS_get_any_asn1(&answer, &skipped, NULL) ||                 /* certStatus */
        !CBS_get_asn1(&answer, &skipped, CBS_ASN1_GENERALIZEDTIME) || /* thisUpdate */
        !CBS_get_optional_asn1(&answer, &next, &is_there, context_0))
        return false;
    return !is_there || get_time(&next, next_update);
}

const char *ocsp_find_fault(struct slice response, struct slice serial, int64_t now,
                            int64_t *expires)
{
    CBS der, answers, found;
    uint64_t status;

    CBS_init(&der, (const uint8_t *)response.at, response.len);
    if (!open_response(&der, &status, &answers))
        return "it is not an OCSP response in DER form";
    if (status != 0)
        return "it says that the responder failed";
    while (CBS_len(&answers) > 0) {
        if (!open_answer(&answers, &found, expires))
            return "it is not an OCSP response in DER form";
        if (!CBS_mem_equal(&found, (const uint8_t *)serial.at, serial.len))
            continue;
        return *expires < now ? "it is out of date" : NULL;
    }
    return "it is about another certificate";
}
