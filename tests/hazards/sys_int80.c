// hazard: int 0x80 uses the 32-bit table and argument registers, even in a 64-bit program.
#include "hazard.h"
int main(void) {
  int pid, r;
  for (int i = 0; i < 200; i++) {
    asm volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    EQUAL(pid, getpid());
  }
  /* 32-bit write (4) from a low buffer */
  char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  strcpy(low, "through int 0x80\n");
  asm volatile("int $0x80" : "=a"(r) : "a"(4), "b"(1), "c"(low), "d"(17) : "memory", "r8", "r9", "r10", "r11");
  EQUAL(r, 17);
  long rcx, r11;
  asm volatile("mov $0x1234567, %%ecx\n int $0x80" : "=a"(r), "=c"(rcx) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
  EQUAL(rcx, 0x1234567);
  asm volatile("int $0x80" : "=a"(r) : "a"(9999) : "memory", "r8", "r9", "r10", "r11");
  EQUAL(r, -ENOSYS);
  asm volatile("int $0x80" : : "a"(252), "b"(0) : "memory");
  return 3;
}
