/* An amount of something that a whole process may use, shared by its threads: taken while it lasts,
 * exactly, and given back. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
    atomic_size_t used;
    size_t most;
};

void budget_init(struct budget *budget, size_t most);

/* False, nothing taken, when it would be more than there is. Any thread. */
bool budget_take(struct budget *budget, size_t amount);
/* Of what was taken. Any thread. */
void budget_give(struct budget *budget, size_t amount);

size_t budget_used(const struct budget *budget);

#endif
