// hazard: a far return into 32-bit code and back (as some loaders do).
// flags: -no-pie
// differs: 32-bit code segments are not translated
#include "hazard.h"
extern char m32[], m32_end[];
asm("m32: .byte 0x40\n"          /* inc %eax: in 64-bit mode this is a prefix */
    ".byte 0x40\n"
    ".byte 0xcb\n"               /* lret */
    "m32_end:");
int main(void) {
  unsigned char *low = mmap((void *)0x10000000, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  memcpy(low, m32, m32_end - m32);
  for (int i = 0; i < 3; i++) {
    int out;
    /* 32-bit stack at low + 8000: return eip, cs for the lret in 32-bit mode */
    asm volatile("mov %%rsp, %%r12\n lea 8000(%1), %%rsp\n sub $8, %%rsp\n lea 1f(%%rip), %%rcx\n mov %%ecx, (%%rsp)\n movl $0x33, 4(%%rsp)\n"
                 "push $0x23\n push %1\n mov $40, %%eax\n lretq\n 1: mov %%r12, %%rsp"
                 : "=&a"(out) : "r"((long)low) : "rcx", "r12", "memory", "cc");
    EQUAL(out, 42);
  }
  return done();
}
