// hazard: a signal arrives in a loop that makes no calls and no system calls; it must be seen soon.
#include "hazard.h"
static volatile sig_atomic_t flag;
static void handler(int s) { flag = 1; }
static void one_block(void) {
  asm volatile("1: cmpl $0, %0\n je 1b" : : "m"(flag) : "cc");
}
static void two_blocks(void) {
  long n = 0;
  while (!flag) {
    n++;
    if (n & 1)
      asm volatile("nop");
    else
      asm volatile("nop; nop");
  }
}
static void indirect(void) {
  void *p = &&again;
again:
  asm volatile("" : "+r"(p));
  if (!flag)
    goto *p;
}
static __attribute__((noinline)) int leaf(void) { return flag; }
static void calling(void) {
  while (!leaf()) {
  }
}
int main(void) {
  void (*loops[])(void) = {one_block, two_blocks, indirect, calling};
  on_signal(SIGALRM, handler, 0);
  for (int round = 0; round < 5; round++)
    for (int i = 0; i < 4; i++) {
      flag = 0;
      double start = cpu_now();
      alarm_ms(20);
      loops[i]();
      /* Of its own time, as the machine may be busy. */
      CHECK(cpu_now() - start < 1.0);
    }
  return done();
}
