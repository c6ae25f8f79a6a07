// hazard: jumps, calls and returns to bad addresses fault at the target, with the stack as the CPU leaves it.
// tiers: interp
#include "hazard.h"
static greg_t g[NGREG];
static int code;
static void *addr;
static greg_t resume;
static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  memcpy(g, uc->uc_mcontext.gregs, sizeof g);
  code = i->si_code;
  addr = i->si_addr;
  uc->uc_mcontext.gregs[REG_RIP] = resume;
}
extern char j1[], j2[], j3[], j4[], after2[];
int main(void) {
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(data, 0xcc, 4096);
  void *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long targets[] = {0, 0x1000, (long)data, (long)none + 8};
  for (int k = 0; k < 100; k++)
    for (int t = 0; t < 4; t++) {
      long target = targets[t];
      resume = (greg_t)j1;
      asm volatile("sub $256, %%rsp; mov %0, %%rcx; jmp *%%rcx; .globl j1\nj1: add $256, %%rsp" : : "r"(target) : "rcx", "memory", "cc");
      EQUAL(g[REG_RIP], target);
      EQUAL(g[REG_RCX], target);
      EQUAL((long)addr, target);
      EQUAL(code, t >= 2 ? SEGV_ACCERR : SEGV_MAPERR);
      EQUAL(g[REG_ERR] & (t == 3 ? 0x16 : 0x17), t == 2 ? 0x15 : 0x14); /* is a page without access present? */
      long sp, ra;
      resume = (greg_t)j2;
      asm volatile("sub $256, %%rsp; mov %2, %%rcx; mov %%rsp, %%rbx; call *%%rcx; .globl after2\nafter2: ud2; .globl j2\n"
                   "j2: mov (%%rsp), %1; sub %%rsp, %%rbx; mov %%rbx, %0; add $264, %%rsp"
                   : "=&r"(sp), "=&r"(ra) : "r"(target) : "rbx", "rcx", "memory", "cc");
      EQUAL(sp, 8);
      EQUAL(ra, (long)after2);
      EQUAL(g[REG_RIP], target);
      resume = (greg_t)j3;
      asm volatile("sub $256, %%rsp; mov %%rsp, %%rbx; push %1; ret; .globl j3\nj3: sub %%rsp, %%rbx; mov %%rbx, %0; add $256, %%rsp"
                   : "=&r"(sp) : "r"(target) : "rbx", "memory", "cc");
      EQUAL(sp, 0);
      EQUAL(g[REG_RIP], target);
      long cell = target;
      resume = (greg_t)j4;
      asm volatile("sub $256, %%rsp; mov %0, %%rdx; jmp *(%%rdx); .globl j4\nj4: add $256, %%rsp" : : "r"(&cell) : "rdx", "memory", "cc");
      EQUAL(g[REG_RIP], target);
    }
  return done();
}
