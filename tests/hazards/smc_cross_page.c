// hazard: an instruction or block that spans two pages; either page may change or vanish.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char *q = p + 4096 - 3;
  int (*volatile f)(void) = (void *)q;
  q[0] = 0xb8;
  q[5] = 0xc3;
  for (int i = 0; i < 2000; i++) {
    int v = i * 0x10001;
    memcpy(q + 1, &v, 4);
    for (int k = 0; k < 3; k++)
      if (f() != v) {
        EQUAL(f(), v);
        return done();
      }
  }
  /* a block that reaches into a page without access runs up to there, then faults */
  mprotect(p + 4096, 4096, PROT_NONE);
  memset(p + 4096 - 64, 0x90, 64);
  p[4096 - 64] = 0xc3;
  ((void (*)(void))(p + 4096 - 64))();
  memcpy(p + 4096 - 32, "\xc6\x07\x01", 3); /* movb $1, (%rdi) */
  fflush(stdout);
  char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t c = fork();
  if (!c)
    ((void (*)(void *))(p + 4096 - 32))(shared), _exit(0);
  printf("%s, ", ending(c));
  printf("store done %d\n", *shared);
  return done();
}
