#include "base/budget.h"

#include "base/check.h"

void budget_init(struct budget *budget, size_t most)
{
    atomic_init(&budget->used, 0);
    budget->most = most;
}

bool budget_take(struct budget *budget, size_t amount)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);

    do {
        if (amount > budget->most - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + amount,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void budget_give(struct budget *budget, size_t amount)
{
    size_t used = atomic_fetch_sub_explicit(&budget->used, amount, memory_order_relaxed);

    assert(used >= amount);
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}
