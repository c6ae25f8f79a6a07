// hazard: the handler leaves an endless loop by changing the saved program counter and registers.
#include "hazard.h"
extern char way_out[];
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  CHECK(uc->uc_mcontext.gregs[REG_RBX] == 0x77);
  uc->uc_mcontext.gregs[REG_RIP] = (greg_t)way_out;
  uc->uc_mcontext.gregs[REG_RAX] = 0x1234567890ll;
}
static __attribute__((noinline)) long spin(void) {
  long rax = 0;
  asm volatile("mov $0x77, %%ebx\n1: jmp 1b\n .globl way_out\nway_out: nop" : "+a"(rax) : : "rbx", "memory", "cc");
  return rax;
}
int main(void) {
  on_signal(SIGALRM, handler, SA_SIGINFO);
  for (int i = 0; i < 20; i++) {
    alarm_ms(5);
    EQUAL(spin(), 0x1234567890ll);
  }
  return done();
}
