// hazard: a JIT toggles a page between writable and executable; each version must run.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int (*f)(void) = (void *)p;
  for (int i = 0; i < 2000; i++) {
    mprotect(p, 4096, PROT_READ | PROT_WRITE);
    p[0] = 0xb8;
    memcpy(p + 1, &i, 4);
    p[5] = 0xc3;
    mprotect(p, 4096, PROT_READ | PROT_EXEC);
    for (int k = 0; k < (i % 50 == 0 ? 200 : 2); k++)
      if (f() != i) {
        CHECK(f() == i);
        return done();
      }
  }
  return done();
}
