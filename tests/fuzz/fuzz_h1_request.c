/* HTTP/1 requests: the same bytes, whole and cut up, must mean the same, and what is forwarded of
 * them must mean the same again to whoever reads it. */
#include "fuzz/h1_both_ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    check_both_ways(H1_REQUEST, slice_make((const char *)bytes, length));
    return 0;
}
