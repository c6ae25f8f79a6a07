// hazard: one memory, two mappings: written through one address, executed at another (W^X JITs).
#include "hazard.h"
int main(void) {
  int fd = memfd_create("jit", 0);
  ftruncate(fd, 8192);
  unsigned char *w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *x = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  int (*volatile f)(void) = (void *)(x + 4000);
  for (int i = 0; i < 20000; i++) {
    w[4000] = 0xb8;
    memcpy(w + 4001, &i, 4);
    w[4005] = 0xc3;
    int bad = f() != i;
    if (i % 1000 == 0)
      for (int k = 0; k < 1000; k++)
        bad |= f() != i;
    if (bad) {
      EQUAL(f(), i);
      return done();
    }
  }
  /* and through the file descriptor */
  for (int i = 0; i < 500; i++) {
    unsigned char b[6] = {0xb8};
    int v = i ^ 0x5a5a;
    memcpy(b + 1, &v, 4);
    b[5] = 0xc3;
    pwrite(fd, b, 6, 4000);
    EQUAL(f(), v);
    if (hz_failures)
      break;
  }
  return done();
}
