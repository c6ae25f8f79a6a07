// hazard: sticky floating point flags are exact once the program has cleared them, also those of results that nobody uses.
// flags: -O0
// libs: -lm
// machines: x86-64 aarch64
#include "hazard.h"
#include <fenv.h>
static int raised(void) { return fetestexcept(FE_ALL_EXCEPT); }
/* All exact until the last third of the rounds; the quotient is overwritten unused. */
static double inexact(void) {
  double one = 1, sum = 0;
  for (int i = 0; i < 90000; i++) {
    double t = one / (2.0 + (double)(i >> 15));
    t = 0.5;
    sum += t;
  }
  return sum;
}
static double invalid(void) {
  double sum = 0;
  for (int i = 0; i < 90000; i++) {
    double zero = (double)(3 - (i >> 14)), t = 0.0 / zero;
    t = 0.25;
    sum += t;
  }
  return sum;
}
int main(void) {
  feclearexcept(FE_ALL_EXCEPT);
  double sum = inexact();
  EQUAL(raised(), FE_INEXACT);
  feclearexcept(FE_ALL_EXCEPT);
  sum += invalid();
  EQUAL(raised(), FE_INVALID);
  feclearexcept(FE_ALL_EXCEPT);
  sum += inexact();
  EQUAL(raised(), FE_INEXACT);
  printf("%g\n", sum);
  return done();
}
