// verify: scalar floating point without optimisation, and rounding modes.
// flags: -O0 -static
// libs: -lm
#include <fenv.h>
#include <math.h>
#include <stdio.h>
int main(void) {
  double x = 0.5, y = 1; float f = 1.1f; int inexact = 0;
  for (int i = 1; i < 60; i++) {
    x = x * 1.25 + sqrt(i) / (y + 0.1); y = fabs(sin(x)) + floor(x) / 3 + (double)f; f = f * 0.99f - (float)(i % 3);
    y += (long)x + (unsigned)(i * 3) + (x > y) + (f < 0 ? -f : f);
    if (i % 20 == 0) { fesetround(i == 20 ? FE_UPWARD : FE_DOWNWARD); y /= 3; fesetround(FE_TONEAREST); inexact += fetestexcept(FE_INEXACT) != 0; feclearexcept(FE_ALL_EXCEPT); }
  }
  printf("%.17g %.17g %.9g %d %d\n", x, y, f, isnan(0.0 / (y - y)), inexact);
}
