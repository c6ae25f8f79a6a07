// hazard: a code generator fills a large area, runs everything, throws it away and starts again.
#include "hazard.h"
int main(void) {
  enum { AREA = 1 << 20, SIZE = 32 };
  unsigned char *p = mmap(NULL, AREA, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t seed = 42;
  long total = 0;
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < AREA / SIZE; i++) {
      unsigned char *q = p + i * SIZE;
      int v = (int)rnd(&seed);
      memcpy(q, "\x8d\x87\0\0\0\0\xc3", 7); /* lea v(%rdi), %eax; ret */
      memcpy(q + 2, &v, 4);
    }
    for (int k = 0; k < 2; k++)
      for (int i = 0; i < AREA / SIZE; i++)
        total += ((int (*)(int))(p + i * SIZE))(k);
    if (round & 1) {
      munmap(p, AREA);
      CHECK(mmap(p, AREA, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
    }
  }
  printf("%ld\n", total);
  return done();
}
