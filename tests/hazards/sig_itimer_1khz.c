// hazard: a 1 kHz timer interrupts computing code; the result is the same as without it.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile long hits;
static void handler(int s) { hits++; }
static uint64_t work(long n) {
  uint64_t h = 1469598103934665603ull, table[64] = {0};
  double d = 1.0;
  for (long i = 0; i < n; i++) {
    table[h & 63] += h ^ i;
    h = (h ^ (table[(h >> 7) & 63] + i)) * 1099511628211ull;
    d = d * 1.0000001 + (double)(h & 255) * 1e-9;
    if ((h & 1023) == 0)
      h += (uint64_t)d;
  }
  return h;
}
int main(void) {
  uint64_t quiet = work(3000000);
  on_signal(SIGALRM, handler, SA_RESTART);
  ticks_us(1000);
  double start = now();
  // A busy machine merges ticks: then it takes longer.
  while (now() - start < 0.7 || (hits <= 50 && now() - start < PATIENCE))
    CHECK(work(3000000) == quiet);
  ticks_us(0);
  CHECK(hits > 50);
  return done();
}
