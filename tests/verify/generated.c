// verify: a program that writes code, runs it, and changes it.
// flags: -O1 -static
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
int main(void) {
  unsigned char *p = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int sum = 0;
  for (int i = 0; i < 20; i++) {
    unsigned char code[] = {0xb8, i, 0, 0, 0, 0x01, 0xf8, 0xc3}; /* mov eax, i; add eax, edi; ret */
    memcpy(p + (i % 3) * 64, code, sizeof code);
    for (int k = 0; k < 4; k++) sum = sum * 3 + ((int (*)(int))(p + (i % 3) * 64))(k);
  }
  mprotect(p, 8192, PROT_READ | PROT_EXEC);
  sum += ((int (*)(int))p)(1);
  mprotect(p, 8192, PROT_READ | PROT_WRITE);
  p[1] = 99;
  mprotect(p, 8192, PROT_READ | PROT_EXEC);
  printf("%d\n", sum + ((int (*)(int))p)(1));
}
