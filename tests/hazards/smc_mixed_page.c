// hazard: data that changes all the time shares a page with hot code; slow is allowed, wrong is not.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  /* incl 0x200(%rip) style counter on the same page: incl p+0x800 ; mov p+0x800,%eax ; ret */
  unsigned char code[] = {0xff, 0x05, 0, 0, 0, 0, 0x8b, 0x05, 0, 0, 0, 0, 0xc3};
  *(int *)(code + 2) = 0x800 - 6;
  *(int *)(code + 8) = 0x800 - 12;
  memcpy(p, code, sizeof code);
  int (*volatile f)(void) = (void *)p;
  for (int i = 1; i <= 100000; i++)
    if (f() != i) {
      CHECK(0);
      break;
    }
  volatile long *words = (void *)(p + 0xc00);
  for (int i = 0; i < 100000; i++) {
    words[i & 63] += i;
    f();
  }
  EQUAL(f(), 200001);
  return done();
}
