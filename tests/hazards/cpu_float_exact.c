// hazard: floating point is bit-exact: NaN payloads, denormals, signed zero, conversions, x87 excess precision.
// flags: -O2 -fno-fast-math
// libs: -lm
#include "hazard.h"
#include <math.h>
int main(void) {
  uint64_t s = 7, h = 0;
  volatile double acc = 0;
  for (int i = 0; i < 200000; i++) {
    uint64_t x = rnd(&s), y = rnd(&s) << (i & 7);
    double a, b;
    memcpy(&a, &x, 8);
    memcpy(&b, &y, 8);
    double r[10] = {a + b, a - b, a * b, a / b, sqrt(a), fmin(a, b), (double)(float)a, a < b ? a : b, (double)(long)(int)x, -a};
    long double l = (long double)a * b + 1;
    for (int k = 0; k < 10; k++) {
      uint64_t v;
      memcpy(&v, &r[k], 8);
      h = (h ^ v) * 1099511628211ull + (h >> 31);
    }
    double d = (double)l;
    uint64_t v;
    memcpy(&v, &d, 8);
    h ^= v + (uint64_t)(a == b) + (uint64_t)(isnan(a) ? 2 : 0) + (uint64_t)(int)(float)(int)x + (uint64_t)(unsigned char)(int)b;
  }
  printf("%016lx %.17g %.17g\n", h, sin(1e10), exp(-745.1));
  return done();
}
