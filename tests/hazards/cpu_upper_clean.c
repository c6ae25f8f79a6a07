// hazard: after vzeroupper the upper halves of the vector registers stay clean: through system calls, indirect
// hazard: branches, signals and page faults. Dirty ones slow SSE code; XINUSE (xgetbv 1) tells without a clock.
// needs: avx2 xgetbv1
#include "hazard.h"
static volatile int hits;
static void handler(int s) { hits++; }
static inline uint64_t inuse(void) {
  uint32_t a, d;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
  return a;
}
static __attribute__((noinline)) void churn(void) {
  for (int i = 0; i < 2000; i++) {
    getppid();
    syscall(SYS_gettid);
    asm volatile("lea 1f(%%rip), %%rax\n jmp *%%rax\n 1:" : : : "rax");
  }
}
int main(void) {
  on_signal(SIGUSR1, handler, 0);
  on_signal(SIGSEGV, handler, 0);
  unsigned dirty = 0;
  for (int i = 0; i < 200; i++) {
    asm volatile("vzeroall");
    uint64_t before = inuse();
    churn();
    if (i % 10 == 0)
      kill(getpid(), SIGUSR1);
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int k = 0; k < 16; k++)
      p[k * 4096] = 1;
    munmap(p, 65536);
    asm volatile("vzeroupper");
    /* churn again: whatever the C library used is cleaned now, only the runtime could dirty them */
    for (int k = 0; k < 1000; k++) {
      long r;
      asm volatile("syscall" : "=a"(r) : "a"(SYS_getppid) : "rcx", "r11", "memory");
      asm volatile("lea 1f(%%rip), %%rax\n jmp *%%rax\n 1:" : : : "rax");
    }
    dirty |= inuse();
  }
  printf("upper halves in use: AVX %d, ZMM_Hi256 %d\n", !!(dirty & 4), !!(dirty & 0x40));
  return done();
}
