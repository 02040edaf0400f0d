#include "base/histogram.h"

const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

void histogram_add(struct histogram *histogram, uint64_t us)
{
    unsigned place = 0;

    while (place < HISTOGRAM_BOUNDS && us > histogram_bounds_us[place])
        place++;
    counter_add(&histogram->counts[place], 1);
    counter_add(&histogram->sum_us, us);
}
