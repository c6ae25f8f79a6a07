// hazard: a timer interrupts a loop over arrays, which may run in vectors: the saved registers and memory are those between two
// hazard: of its iterations, nothing is missing and nothing is done too early.
#include "hazard.h"
#define N (1 << 18)
#define UNTOUCHED 0xdeadbeefu
static unsigned from[N], to[N];
static volatile long hits, checked, wrong;
extern char loop_begin[], loop_end[];
static unsigned value(long i) { return from[i] * 3 + (unsigned)i; }
static void handler(int s, siginfo_t *info, void *u) {
  greg_t *g = ((ucontext_t *)u)->uc_mcontext.gregs;
  char *pc = (char *)g[REG_RIP];
  hits++;
  if (pc < loop_begin || pc >= loop_end)
    return;
  long i = g[REG_RCX];
  if (g[REG_RDI] != (greg_t)to || g[REG_RSI] != (greg_t)from || g[REG_RDX] != N || i < 0 || i >= N) {
    wrong++;
    return;
  }
  if (pc != loop_begin || !i)
    return; /* Natively it may be anywhere. */
  checked++;
  if (to[i] != UNTOUCHED || to[i - 1] != value(i - 1) || to[i / 2] != value(i / 2) || g[REG_RAX] != to[i - 1] ||
      g[REG_EFL] & 0x41 ^ 1) /* i was compared and is below */
    wrong++;
}
int main(void) {
  uint64_t seed = 3;
  for (long i = 0; i < N; i++)
    from[i] = (unsigned)rnd(&seed) >> 4;
  on_signal(SIGALRM, handler, SA_SIGINFO | SA_RESTART);
  long bad = 0;
  double start = now();
  for (int round = 0; round < 200 || (hits < 40 && now() - start < PATIENCE); round++) {
    for (long i = 0; i < N; i++)
      to[i] = UNTOUCHED;
    ticks_us(40); /* The loop takes a tenth of a millisecond. */
    asm volatile("xor %%ecx, %%ecx\n.globl loop_begin, loop_end\n"
                 "loop_begin: mov (%%rsi, %%rcx, 4), %%eax\n lea (%%rax, %%rax, 2), %%eax\n add %%ecx, %%eax\n mov %%eax, (%%rdi, %%rcx, 4)\n"
                 "inc %%rcx\n cmp %%rdx, %%rcx\n jb loop_begin\nloop_end:"
                 : : "D"(to), "S"(from), "d"((long)N) : "rax", "rcx", "memory", "cc");
    ticks_us(0);
    for (long i = 0; i < N; i++)
      bad += to[i] != value(i);
  }
  EQUAL(bad, 0);
  EQUAL(wrong, 0);
  CHECK(hits >= 40);
  return done();
}
