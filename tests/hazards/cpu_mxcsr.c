// hazard: rounding modes, flush-to-zero and exception masks of MXCSR belong to the program, across everything.
#include "hazard.h"
#include <xmmintrin.h>
static unsigned in_handler;
static volatile int hits;
static void handler(int s) {
  in_handler = _mm_getcsr();
  _mm_setcsr(0x1f80);
  hits++;
}
static __attribute__((noinline)) float third(volatile float *a, volatile float *b) { return *a / *b; }
int main(void) {
  on_signal(SIGALRM, handler, 0);
  volatile float one = 1, three = 3, tiny = 1e-38f, ten = 1000;
  for (int mode = 0; mode < 4; mode++)
    for (int ftz = 0; ftz < 2; ftz++) {
      unsigned csr = 0x1f80 | mode << 13 | ftz << 15 | ftz << 6;
      _mm_setcsr(csr);
      for (int i = 0; i < 2000; i++) {
        getppid();
        float f = third(&one, &three), g = third(&tiny, &ten);
        uint32_t u, v;
        memcpy(&u, &f, 4);
        memcpy(&v, &g, 4);
        if (i == 0 || i == 1999)
          printf("%d %d: %08x %08x\n", mode, ftz, u, v);
        if ((_mm_getcsr() & ~0x3f) != (csr & ~0x3f)) {
          EQUAL(_mm_getcsr() & ~0x3f, csr & ~0x3f);
          break;
        }
      }
      int before = hits;
      alarm_ms(2);
      while (hits == before) {
      }
      EQUAL(_mm_getcsr() & ~0x3f, csr & ~0x3f);
      _mm_setcsr(0x1f80);
    }
  /* sticky exception flags are exact */
  _mm_setcsr(0x1f80);
  printf("%x ", _mm_getcsr());
  third(&one, &three);
  printf("%x\n", _mm_getcsr());
  return done();
}
