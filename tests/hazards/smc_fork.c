// hazard: parent and child change the same code page differently after fork.
#include "hazard.h"
static void put(unsigned char *p, int v) {
  p[0] = 0xb8;
  memcpy(p + 1, &v, 4);
  p[5] = 0xc3;
}
static int hot(void *p) {
  int (*volatile f)(void) = p, r = 0;
  for (int i = 0; i < 500; i++)
    r = f();
  return r;
}
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  put(p, 1);
  EQUAL(hot(p), 1);
  for (int i = 0; i < 20; i++) {
    fflush(stdout);
    pid_t c = fork();
    if (!c) {
      EQUAL(hot(p), i ? 100 + i - 1 : 1);
      put(p, 7);
      EQUAL(hot(p), 7);
      _exit(hz_failures);
    }
    put(p, 100 + i);
    EQUAL(hot(p), 100 + i);
    CHECK(!strcmp(ending(c), "exit 0"));
    EQUAL(hot(p), 100 + i);
  }
  return done();
}
