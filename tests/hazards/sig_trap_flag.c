// hazard: the program single-steps itself with the trap flag: one SIGTRAP after each instruction.
// differs: the trap flag is honoured for one instruction only
#include "hazard.h"
static volatile int n;
static greg_t pcs[64];
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  if (n < 64)
    pcs[n] = uc->uc_mcontext.gregs[REG_RIP];
  n++;
  if (i->si_code != TRAP_TRACE)
    CHECK(i->si_code == TRAP_TRACE);
}
extern char t0[];
int main(void) {
  on_signal(SIGTRAP, handler, SA_SIGINFO);
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; orl $0x100, (%%rsp); popfq\n .globl t0\nt0: nop; inc %%eax; jmp 1f; nop; 1: push %%rax; pop %%rax; pushfq; andl $~0x100, (%%rsp); popfq; nop; lea 128(%%rsp), %%rsp"
               : : : "rax", "cc", "memory");
  printf("%d steps:", n);
  for (int i = 0; i < n && i < 64; i++)
    printf(" %ld", (long)pcs[i] - (long)t0);
  printf("\n");
  return done();
}
