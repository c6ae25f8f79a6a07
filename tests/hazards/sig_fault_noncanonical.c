// hazard: a branch to a non-canonical address faults with general protection at the branch, without effect.
// tiers: interp
// differs: a branch to a non-canonical address faults at its target instead of at the branch
#include "hazard.h"
static greg_t g[NGREG];
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  memcpy(g, uc->uc_mcontext.gregs, sizeof g);
  CHECK(i->si_code == SI_KERNEL);
  uc->uc_mcontext.gregs[REG_RIP] = uc->uc_mcontext.gregs[REG_R8];
}
extern char n1[], n2[];
int main(void) {
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  for (int k = 0; k < 60; k++) {
    long sp;
    asm volatile("sub $256, %%rsp; lea 2f(%%rip), %%r8; movabs $0x4000000000000000, %%rcx; .globl n1\nn1: jmp *%%rcx; 2: add $256, %%rsp" : : : "rcx", "r8", "memory", "cc");
    printf("%s %d ", g[REG_RIP] == (long)n1 ? "at branch" : g[REG_RIP] == 0x4000000000000000 ? "at target" : "elsewhere",
           (int)g[REG_TRAPNO]);
    asm volatile("sub $256, %%rsp; lea 2f(%%rip), %%r8; mov %%rsp, %%r9; movabs $0x4000000000000000, %%rcx; .globl n2\nn2: call *%%rcx; ud2; 2: sub %%rsp, %%r9; mov %%r9, %0; add $256, %%rsp; add %%r9, %%rsp"
                 : "=r"(sp) : : "rcx", "r8", "r9", "memory", "cc");
    printf("%s %ld\n", g[REG_RIP] == (long)n2 ? "at branch" : g[REG_RIP] == 0x4000000000000000 ? "at target" : "elsewhere", sp);
  }
  return done();
}
