/* Sets of keys: what is taken can be used, what is not is said with words, and the same text means
 * the same again. */
#include "base/check.h"
#include "policy/jwk_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static unsigned count_complaints(const struct source_complaint *complaint)
{
    unsigned count = 0;

    for (; complaint != NULL; complaint = complaint->next, count++)
        assert(complaint->text.len > 0);
    return count;
}

static void check_set(const struct jwk_set *set)
{
    static const char zeroes[PUBLIC_KEY_BYTES_MOST];

    assert(set->count > 0 && set->count <= JWK_SET_KEYS_MOST);
    for (unsigned i = 0; i < set->count; i++) {
        const struct jwk *key = &set->keys[i];
        assert(!key->has_scheme || public_key_fits(key->key, key->scheme));
        for (enum signature_scheme scheme = 0; scheme < SIGNATURE_SCHEMES; scheme++)
            for (size_t size = 64; size <= 256; size *= 2)
                assert(
                    public_key_kind(key->key) == PUBLIC_KEY_ED25519 ||
                    !public_key_verify(key->key, scheme, slice_of("a"), slice_make(zeroes, size)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice text = slice_make((const char *)bytes, length);
    struct source_complaint *complaints = NULL, *again = NULL;
    struct arena arena = {0};
    struct source_content *first = jwk_set_parse(text, &arena, &complaints);
    struct source_content *second = jwk_set_parse(text, &arena, &again);

    assert((first == NULL) == (second == NULL));
    assert(count_complaints(complaints) == count_complaints(again));
    assert(first != NULL || complaints != NULL);
    if (first != NULL)
        check_set(container_of(first, struct jwk_set, content));
    source_content_unref(first);
    source_content_unref(second);
    arena_clear(&arena);
    return 0;
}
