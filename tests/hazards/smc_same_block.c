// hazard: a store changes the next instructions of the very block that it stands in.
#include "hazard.h"
int main(void) {
  unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  /* movb %dil, 1f+1(%rip) ; 1: mov $0, %al; movzx %al, %eax; ret */
  static const unsigned char code[] = {0x40, 0x88, 0x3d, 0x01, 0, 0, 0, 0xb0, 0x00, 0x0f, 0xb6, 0xc0, 0xc3};
  memcpy(p, code, sizeof code);
  int (*f)(int) = (void *)p;
  for (int i = 0; i < 3000; i++) {
    int want = (i * 7) & 0xff;
    if (f(want) != want) {
      EQUAL(f(want), want);
      break;
    }
  }
  /* the same from a loop which patches an instruction of its own body each time round:
     xor eax,eax; mov $100,ecx; L: incb imm(rip); add $0,al (imm); dec ecx; jnz L; movzx eax,al; ret */
  static const unsigned char loop[] = {0x31, 0xc0, 0xb9, 100, 0, 0, 0,
                                       0xfe, 0x05, 0x01, 0, 0, 0, /* incb 1(%rip) */
                                       0x04, 0x00,                /* add $0, %al */
                                       0xff, 0xc9, 0x75, 0xf4, 0x0f, 0xb6, 0xc0, 0xc3};
  memcpy(p + 256, loop, sizeof loop);
  int (*g)(void) = (void *)(p + 256);
  for (int i = 0; i < 50; i++) {
    p[256 + 14] = 0;
    EQUAL(g(), (100 * 101 / 2) & 0xff);
  }
  return done();
}
