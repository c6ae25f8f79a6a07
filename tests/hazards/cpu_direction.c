// hazard: the direction flag: set by the program, cleared for handlers, kept across branches; AC and ID flags too.
#include "hazard.h"
static volatile int hits, bad;
static void handler(int s) {
  long f;
  asm volatile("pushfq; pop %0" : "=r"(f));
  if (f & 0x400)
    bad++;
  hits++;
}
int main(void) {
  on_signal(SIGALRM, handler, SA_RESTART);
  ticks_us(800);
  char src[64], dst[64];
  for (int i = 0; i < 64; i++)
    src[i] = (char)(i * 3);
  for (int round = 0; round < 400; round++) {
    long f;
    memset(dst, 0, 64);
    asm volatile("std\n mov $3000, %%edx\n 1: lea 2f(%%rip), %%rax\n jmp *%%rax\n 2: dec %%edx\n jnz 1b\n"
                 "lea 63(%1), %%rsi\n lea 63(%2), %%rdi\n mov $64, %%ecx\n rep movsb\n pushfq\n pop %0\n cld"
                 : "=r"(f) : "r"(src), "r"(dst) : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc");
    CHECK(f & 0x400);
    CHECK(!memcmp(src, dst, 64));
    if (hz_failures)
      break;
  }
  ticks_us(0);
  long f;
  asm volatile("pushfq; orq $0x200000, (%%rsp); popfq; mov $39, %%eax; syscall; pushfq; pop %0; pushfq; andq $~0x200000, (%%rsp); popfq" : "=&r"(f) : : "rax", "rcx", "r11", "cc", "memory");
  CHECK(f & 0x200000);
  EQUAL(bad, 0);
  return done();
}
