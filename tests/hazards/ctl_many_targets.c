// hazard: indirect calls and jumps with thousands of targets: lookup tables fill, collide and grow.
#include "hazard.h"
int main(void) {
  enum { N = 20000, SIZE = 16 };
  unsigned char *p = mmap(NULL, N * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < N; i++) {
    memcpy(p + i * SIZE, "\x8d\x87\0\0\0\0\xc3", 7);
    memcpy(p + i * SIZE + 2, &i, 4);
  }
  mprotect(p, N * SIZE, PROT_READ | PROT_EXEC);
  uint64_t s = 9, sum = 0, want = 0;
  for (int round = 0; round < 400000; round++) {
    int i = rnd(&s) % N;
    sum += ((int (*)(int))(p + i * SIZE))(round);
    want += i + round;
  }
  EQUAL(sum, want);
  return done();
}
