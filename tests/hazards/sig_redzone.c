// hazard: a signal frame must not touch the 128 bytes below the stack pointer.
#include "hazard.h"
static volatile long hits;
static void handler(int s) {
  volatile char junk[512];
  memset((void *)junk, 0xee, sizeof junk);
  hits++;
}
int main(void) {
  on_signal(SIGALRM, handler, SA_RESTART);
  ticks_us(500);
  long bad = 0;
  double start = now();
  // A busy machine merges ticks: then it takes longer.
  while (now() - start < 0.5 || (hits <= 50 && now() - start < PATIENCE)) {
    long r;
    asm volatile("mov $200000, %%ecx\n xor %%edx, %%edx\n"
                 "1: mov %%rcx, -8(%%rsp)\n mov %%rcx, -64(%%rsp)\n mov %%rcx, -128(%%rsp)\n lea 2f(%%rip), %%rax\n jmp *%%rax\n"
                 "2: nop\n cmp %%rcx, -8(%%rsp)\n jne 3f\n cmp %%rcx, -64(%%rsp)\n jne 3f\n cmp %%rcx, -128(%%rsp)\n je 4f\n3: inc %%rdx\n"
                 "4: dec %%ecx\n jnz 1b\n mov %%rdx, %0"
                 : "=r"(r) : : "rax", "rcx", "rdx", "memory", "cc");
    bad += r;
  }
  ticks_us(0);
  EQUAL(bad, 0);
  CHECK(hits > 50);
  return done();
}
