// hazard: when a timer interrupts, the saved registers are a state that the program could be in:
// hazard: the program counter lies in the program's own code and the loop's invariants hold there.
#include "hazard.h"
static volatile long hits, bad_pc, bad_state;
extern char loop_begin[], loop_end[], helper_begin[], helper_end[];
static void handler(int s, siginfo_t *i, void *u) {
  greg_t *g = ((ucontext_t *)u)->uc_mcontext.gregs;
  char *pc = (char *)g[REG_RIP];
  hits++;
  if ((pc < loop_begin || pc >= loop_end) && (pc < helper_begin || pc >= helper_end))
    bad_pc++;
  else if (g[REG_R8] != 0x1122334455667788ll || g[REG_R9] != (greg_t)loop_begin || g[REG_R12] != ~g[REG_R13])
    bad_state++;
}
asm(".globl helper_begin\nhelper_begin: lea 3(%rax), %rax\n mov %rax, %rdx\n xor %r8, %rdx\n ret\n.globl helper_end\nhelper_end: nop");
int main(void) {
  on_signal(SIGALRM, handler, SA_SIGINFO | SA_RESTART);
  long n = 0, sum = 0;
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, SIGALRM);
  double start = now();
  /* On a busy machine ticks are few: then it takes more rounds. */
  for (int round = 0; round < 12 || (hits <= 20 && now() - start < PATIENCE); round++) {
    sigprocmask(SIG_BLOCK, &m, NULL);
    ticks_us(500);
    /* unblock inside the loop's range would need a call; the first tick comes after the call returns */
    ticks_us(0);
    struct itimerval it = {{0, 500}, {0, 3000}};
    sigprocmask(SIG_UNBLOCK, &m, NULL);
    alarm_ms(0);
    setitimer(ITIMER_REAL, &it, NULL);
    asm volatile("movabs $0x1122334455667788, %%r8\n lea loop_begin(%%rip), %%r9\n mov $77, %%r12d\n mov %%r12, %%r13\n not %%r13\n"
                 "mov $30000000, %%ecx\n xor %%eax, %%eax\n jmp loop_begin\n"
                 ".globl loop_begin\nloop_begin: call helper_begin\n test $1, %%al\n jz 1f\n add $7, %%rax\n 1: lea 2f(%%rip), %%r10\n jmp *%%r10\n 2: dec %%ecx\n jnz loop_begin\n"
                 ".globl loop_end\nloop_end: nop"
                 : "=a"(n) : : "rcx", "rdx", "r8", "r9", "r10", "r12", "r13", "memory", "cc");
    sigprocmask(SIG_BLOCK, &m, NULL);
    sum += round < 12 ? n : 0;
  }
  ticks_us(0);
  CHECK(hits > 20);
  /* ticks may fall on the few instructions around the loop */
  CHECK(bad_pc <= hits / 4);
  EQUAL(bad_state, 0);
  printf("%ld\n", sum);
  return done();
}
