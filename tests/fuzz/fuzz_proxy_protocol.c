/* PROXY protocol headers: what is taken is exactly its own bytes, and was no header a byte before.
 */
#include "base/check.h"
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static enum proxy_parse parse(struct slice bytes, struct proxy_header *header, size_t *taken)
{
    enum proxy_problem problem = PROXY_NO_HEADER;
    enum proxy_parse answer = proxy_header_parse(bytes, header, taken, &problem);

    assert(answer != PROXY_DONE || (*taken <= bytes.len && *taken >= 15));
    assert(answer != PROXY_MORE || bytes.len < PROXY_HEADER_BYTES_MAX);
    return answer;
}

/* What it says survives being written and read. */
static void check_written(const struct proxy_header *header)
{
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];
    struct proxy_header again;
    size_t length = proxy_header_write_v2(header, bytes), taken = 0;

    assert(length <= sizeof(bytes));
    assert(parse(slice_make(bytes, length), &again, &taken) == PROXY_DONE && taken == length);
    assert(again.names_ends == header->names_ends);
    if (!header->names_ends)
        return;
    assert(address_port(&again.source) == address_port(&header->source));
    assert(address_port(&again.destination) == address_port(&header->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice whole = slice_make((const char *)bytes, length);
    struct proxy_header header, cut;
    size_t taken = 0, nothing = 0;

    switch (parse(whole, &header, &taken)) {
    case PROXY_DONE:
        for (size_t i = 0; i < taken; i++)
            assert(parse(slice_make(whole.at, i), &cut, &nothing) == PROXY_MORE);
        assert(parse(slice_make(whole.at, taken), &cut, &nothing) == PROXY_DONE);
        check_written(&header);
        break;
    case PROXY_MORE:
        for (size_t i = 0; i < length; i++)
            assert(parse(slice_make(whole.at, i), &cut, &nothing) == PROXY_MORE);
        break;
    case PROXY_BAD:
        for (size_t i = 0; i < length; i++)
            assert(parse(slice_make(whole.at, i), &cut, &nothing) != PROXY_DONE);
        break;
    }
    return 0;
}
