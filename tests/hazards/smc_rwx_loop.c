// hazard: code on a writable and executable page is rewritten in a loop, without any system call.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int (*volatile f)(void) = (void *)p;
  memcpy(p, "\xb8\0\0\0\0\xc3", 6);
  for (int i = 0; i < 200000; i++) {
    *(volatile int *)(p + 1) = i;
    if (f() != i) {
      EQUAL(f(), i);
      return done();
    }
  }
  /* a function that is hot before it changes, and changes its length */
  for (int round = 0; round < 20; round++) {
    unsigned char *q = p + 64;
    int n = 1 + round % 7;
    for (int k = 0; k < n; k++)
      memcpy(q + 3 * k, "\x83\xc0\x03", 3); /* add $3, %eax */
    memcpy(q + 3 * n, "\xc3", 1);
    memcpy(p + 32, "\x31\xc0\xeb\x1c", 4); /* xor %eax,%eax; jmp q */
    int (*volatile g)(void) = (void *)(p + 32);
    for (int k = 0; k < 5000; k++)
      if (g() != 3 * n) {
        EQUAL(g(), 3 * n);
        return done();
      }
  }
  return done();
}
