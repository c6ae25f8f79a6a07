// hazard: code copied and patched by a program with serialising instructions (cpuid) and clflush around it.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p, "\xb8\0\0\0\0\xc3", 6);
  for (int i = 0; i < 500; i++) {
    *(int *)(p + 1) = i;
    int a = 0, b, c = 0, d;
    asm volatile("clflush (%4)\n mfence\n cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : "r"(p) : "memory");
    EQUAL(((int (*)(void))p)(), i);
  }
  return done();
}
