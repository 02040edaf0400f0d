#include "support/chi_square.h"

#include "base/check.h"

bool chi_square_fits(const unsigned *counts, const double *expected, unsigned count)
{
    /* By degrees of freedom: what the sum goes beyond with a probability of 0.0001. */
    static const double limits[] = {0,     15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88,
                                    31.83, 33.72, 35.56, 37.37, 39.13, 40.87, 42.58, 44.26};
    double counted = 0, all = 0, sum = 0;
    assert(count >= 2 && count <= sizeof(limits) / sizeof(limits[0]));
    for (unsigned i = 0; i < count; i++) {
        counted += counts[i];
        all += expected[i];
    }
    for (unsigned i = 0; i < count; i++) {
        double of_it = counted * expected[i] / all;
        sum += (counts[i] - of_it) * (counts[i] - of_it) / of_it;
    }
    return sum <= limits[count - 1];
}
