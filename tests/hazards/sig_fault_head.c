// hazard: the first instruction of a hot loop faults, again and again: the handler makes the page readable, sees the exact
// hazard: registers each time, and the loop goes on.
#include "hazard.h"
#define PAGES 64
static unsigned char *base;
static long faults, wrong;
static void handler(int s, siginfo_t *i, void *u) {
  greg_t *g = ((ucontext_t *)u)->uc_mcontext.gregs;
  unsigned char *at = i->si_addr;
  faults++;
  /* The pointer is rdi, the count down rsi, the number of bytes so far rdx. */
  if ((unsigned char *)g[REG_RDI] != at || g[REG_RDX] != at - base || g[REG_RSI] != PAGES * 4096 - g[REG_RDX])
    wrong++;
  if (mprotect((void *)((uintptr_t)at & -4096), 4096, PROT_READ))
    _exit(3);
}
static uint64_t sum(const unsigned char *p, long n) {
  uint64_t sum = 0, done = 0;
  asm volatile("1: movzbl (%1), %%eax\n add $1, %1\n add $1, %2\n lea (%0, %0, 4), %0\n add %%rax, %0\n sub $1, %3\n jne 1b"
               : "+r"(sum), "+D"(p), "+d"(done), "+S"(n) : : "rax", "cc", "memory");
  return sum;
}
int main(void) {
  base = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t s = 5;
  for (long i = 0; i < PAGES * 4096; i++)
    base[i] = (unsigned char)rnd(&s);
  uint64_t quiet = sum(base, PAGES * 4096);
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  for (int round = 0; round < 4; round++) {
    mprotect(base, PAGES * 4096, PROT_NONE);
    EQUAL(sum(base, PAGES * 4096), quiet);
  }
  EQUAL(faults, 4 * PAGES);
  EQUAL(wrong, 0);
  return done();
}
