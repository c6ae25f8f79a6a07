// hazard: SIGFPE, SIGILL and SIGTRAP name the right address and code; execution resumes where the handler says.
// tiers: interp
// libs: -lm
#include "hazard.h"
#include <fenv.h>
#include <xmmintrin.h>
static greg_t pc;
static int sig, code;
static void *addr;
static int skip;
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  pc = uc->uc_mcontext.gregs[REG_RIP];
  sig = s, code = i->si_code, addr = i->si_addr;
  uc->uc_mcontext.gregs[REG_RIP] += skip;
  if (uc->uc_mcontext.fpregs)
    uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
}
extern char at_div[], at_ud2[], at_int3[], at_sse[], at_div64[], at_priv[], at_intn[];
int main(void) {
  on_signal(SIGFPE, handler, SA_SIGINFO);
  on_signal(SIGILL, handler, SA_SIGINFO);
  on_signal(SIGTRAP, handler, SA_SIGINFO);
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  for (int k = 0; k < 150; k++) {
    skip = 2;
    asm volatile("xor %%ecx, %%ecx; mov $9, %%eax; cltd; .globl at_div\nat_div: idiv %%ecx" : : : "rax", "rcx", "rdx", "cc");
    CHECK(pc == (long)at_div && sig == SIGFPE && code == FPE_INTDIV && addr == at_div);
    skip = 3;
    asm volatile("mov $-1, %%rcx; movabs $0x8000000000000000, %%rax; cqto; .globl at_div64\nat_div64: idiv %%rcx" : : : "rax", "rcx", "rdx", "cc");
    CHECK(pc == (long)at_div64 && sig == SIGFPE && code == FPE_INTDIV);
    skip = 2;
    asm volatile(".globl at_ud2\nat_ud2: ud2");
    CHECK(pc == (long)at_ud2 && sig == SIGILL && code == ILL_ILLOPN && addr == at_ud2);
    skip = 0;
    asm volatile(".globl at_int3\nat_int3: int3");
    CHECK(pc == (long)at_int3 + 1 && sig == SIGTRAP && code == SI_KERNEL);
    skip = 1;
    asm volatile(".globl at_priv\nat_priv: hlt");
    CHECK(pc == (long)at_priv && sig == SIGSEGV && code == SI_KERNEL);
    skip = 2;
    asm volatile(".globl at_intn\nat_intn: int $0x42");
    CHECK(pc == (long)at_intn && sig == SIGSEGV);
    skip = 4;
    _mm_setcsr(0x1f80 & ~0x200);
    asm volatile("xorps %%xmm0, %%xmm0; pcmpeqd %%xmm1, %%xmm1; pslld $25, %%xmm1; psrld $2, %%xmm1\n .globl at_sse\nat_sse: divss %%xmm0, %%xmm1" : : : "xmm0", "xmm1");
    CHECK(pc == (long)at_sse && sig == SIGFPE && code == FPE_FLTDIV);
    _mm_setcsr(0x1f80);
  }
  /* the x87 reports its exception at the next waiting instruction */
  unsigned short cw = 0x37f & ~4;
  double zero = 0, one = 1;
  skip = 0;
  feenableexcept(FE_DIVBYZERO);
  pid_t p = fork();
  if (!p) {
    signal(SIGFPE, SIG_DFL);
    asm volatile("fldcw %0; fldl %2; fdivl %1; fwait; fstp %%st(0)" : : "m"(cw), "m"(zero), "m"(one));
    _exit(1);
  }
  printf("x87: %s\n", ending(p));
  return done();
}
