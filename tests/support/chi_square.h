/* Whether counts are what chance makes of likelihoods. */
#ifndef TESTS_SUPPORT_CHI_SQUARE_H
#define TESTS_SUPPORT_CHI_SQUARE_H

#include <stdbool.h>

/* 2 to 16 of each; what is expected may be in any unit, only not 0. Of counts that chance made one
 * in 10,000 does not fit. */
bool chi_square_fits(const unsigned *counts, const double *expected, unsigned count);

#endif
