// verify: x87 and MMX.
// flags: -O1 -static
#include <mmintrin.h>
#include <stdio.h>
int main(void) {
  long double x = 1, y = 3; volatile double d = 0.1;
  for (int i = 0; i < 50; i++) { x = x * y + d; y = y / 1.5L - (long)x % 3; d = (double)x * 1e-3; }
  __m64 m = _mm_set_pi16(1, -2, 30000, 4), n = _mm_set1_pi16(9000);
  int low = _mm_cvtsi64_si32(_mm_adds_pi16(m, n));
  _mm_empty();
  printf("%.15Lg %.15Lg %d\n", x, y, low);
}
