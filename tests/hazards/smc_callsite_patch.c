// hazard: call sites and jumps are patched atomically while hot, as HotSpot and tracing JITs do.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 16; i++) {
    unsigned char *q = p + 4096 + 64 * i;
    q[0] = 0xb8;
    memcpy(q + 1, &i, 4);
    q[5] = 0xc3;
  }
  /* caller: sub $8,%rsp; call target; add $8,%rsp; ret — the displacement is 8-byte aligned */
  unsigned char *c = p + 3;
  memcpy(c, "\x48\x83\xec\x08\xe8", 5);
  memcpy(c + 9, "\x48\x83\xc4\x08\xc3", 5);
  int (*f)(void) = (void *)c;
  for (int i = 0; i < 4000; i++) {
    int t = (i * 5) & 15;
    __atomic_store_n((int32_t *)(c + 5), (int32_t)(p + 4096 + 64 * t - (c + 9)), __ATOMIC_SEQ_CST);
    for (int k = 0; k < (i % 100 ? 1 : 500); k++)
      if (f() != t) {
        EQUAL(f(), t);
        return done();
      }
  }
  return done();
}
