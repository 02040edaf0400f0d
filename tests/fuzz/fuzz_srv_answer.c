/* DNS answers about services: whatever a server sends, what is taken from it can be used. */
#include "base/check.h"
#include "net/srv_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct srv_answer answer;
    char name[HOST_NAME_SIZE];

    if (length > UINT16_MAX || !srv_answer_read(bytes, length, &answer))
        return 0;
    assert(answer.count <= SRV_TARGETS_MAX);
    for (unsigned i = 0; i < answer.count; i++) {
        const struct srv_target *target = &answer.targets[i];
        assert(target->port != 0);
        assert(host_name_copy(slice_of(target->name), name) && strcmp(name, target->name) == 0);
        assert(i == 0 || target[-1].priority <= target->priority);
    }
    return 0;
}
