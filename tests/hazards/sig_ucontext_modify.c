// hazard: a handler changes saved registers, flags and vector registers; the program continues with them.
// tiers: interp
#include "hazard.h"
#include <xmmintrin.h>
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  greg_t *g = uc->uc_mcontext.gregs;
  g[REG_RIP] += 2; /* past ud2 */
  g[REG_RAX] += 1;
  g[REG_RBX] = ~g[REG_RBX];
  g[REG_R12] ^= 0x5555;
  g[REG_R15] = 0x1515151515151515ll;
  g[REG_EFL] |= 0x8c1; /* OF SF ZF CF */
  g[REG_EFL] &= ~0x14ll; /* PF AF */
  struct _libc_fpstate *f = uc->uc_mcontext.fpregs;
  f->_xmm[3].element[0] = 0xdeadbeef;
  f->_xmm[15].element[3] = 0xcafebabe;
  f->mxcsr = 0x1f80 | 0x6000;
}
int main(void) {
  on_signal(SIGILL, handler, SA_SIGINFO);
  for (int k = 0; k < 300; k++) {
    long rax = 10, rbx = 20, fl, r12, r15;
    unsigned x3[4], x15[4], csr;
    asm volatile("mov $0x1212, %%r12d\n mov $1, %%r15d\n pxor %%xmm3, %%xmm3\n pcmpeqd %%xmm15, %%xmm15\n"
                 "xor %%ecx, %%ecx\n inc %%ecx\n" /* clears CF ZF SF OF, PF 0 */
                 "ud2\n"
                 "pushfq\n pop %%rcx\n mov %%r12, %%rdx\n mov %%r15, %%rsi\n movdqu %%xmm3, %3\n movdqu %%xmm15, %4\n"
                 "stmxcsr %7\n"
                 : "+a"(rax), "+b"(rbx), "=c"(fl), "=m"(x3), "=m"(x15), "=d"(r12), "=S"(r15), "=m"(csr)
                 :
                 : "r12", "r15", "xmm3", "xmm15", "cc");
    _mm_setcsr(0x1f80);
    EQUAL(rax, 11);
    EQUAL(rbx, ~20l);
    EQUAL(fl & 0x8d5, 0x8c1);
    EQUAL(r12, 0x1212 ^ 0x5555);
    EQUAL(r15, 0x1515151515151515ll);
    EQUAL(x3[0], 0xdeadbeef);
    EQUAL(x3[1], 0);
    EQUAL(x15[3], 0xcafebabe);
    EQUAL(x15[0], 0xffffffff);
    EQUAL(csr, 0x7f80);
  }
  return done();
}
