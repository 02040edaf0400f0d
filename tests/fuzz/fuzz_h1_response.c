/* HTTP/1 responses: as fuzz_h1_request.c. */
#include "fuzz/h1_both_ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    check_both_ways(H1_RESPONSE, slice_make((const char *)bytes, length));
    return 0;
}
