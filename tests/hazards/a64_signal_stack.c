// hazard: AArch64: what a handler gets: arguments, return address, a frame record that leads on, alternate stack, alignment.
// machines: aarch64
#include "hazard.h"
static char stack[65536] __attribute__((aligned(16)));
static volatile int calls;
static uint64_t interrupted_fp;

__attribute__((noinline, used)) void check(siginfo_t *i, ucontext_t *uc, uint64_t sp, uint64_t *fp, uint64_t lr) {
  calls++;
  EQUAL(sp % 16, 0);
  CHECK(sp >= (uint64_t)stack && sp < (uint64_t)stack + sizeof stack);
  EQUAL((uint64_t)i, sp);
  EQUAL((uint64_t)uc, sp + 128);
  /* The frame record lies above the frame and has the interrupted code's own. */
  EQUAL((uint64_t)fp, sp + 4688);
  EQUAL(fp[0], uc->uc_mcontext.regs[29]);
  EQUAL(fp[1], uc->uc_mcontext.regs[30]);
  EQUAL(fp[0], interrupted_fp);
  const uint32_t *code = (const uint32_t *)lr;
  EQUAL(code[0], 0xd2801168); /* mov x8, #139 */
  EQUAL(code[1], 0xd4000001); /* svc #0 */
  EQUAL(uc->uc_stack.ss_size, sizeof stack);
  CHECK(uc->uc_stack.ss_sp == stack);
  CHECK(sigismember(&uc->uc_sigmask, SIGUSR2) && !sigismember(&uc->uc_sigmask, SIGUSR1));
}

/* Entered with the state that the kernel made: sp, x29 and x30 are passed on. */
void handler(int s, siginfo_t *i, void *u);
asm("handler: cmp w0, #10\n b.ne 1f\n"
    "stp x29, x30, [sp, #-16]!\n"
    "mov x0, x1\n mov x1, x2\n add x2, sp, #16\n mov x3, x29\n mov x4, x30\n mov x29, sp\n"
    "bl check\n"
    "ldp x29, x30, [sp], #16\n"
    "1: ret");

int main(void) {
  stack_t st = {.ss_sp = stack, .ss_size = sizeof stack};
  CHECK(sigaltstack(&st, NULL) == 0);
  stack_t small = {.ss_sp = stack, .ss_size = 1024};
  CHECK(sigaltstack(&small, NULL) == -1 && errno == ENOMEM);
  on_signal(SIGUSR1, handler, SA_SIGINFO | SA_ONSTACK);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  long pid = getpid(), tid = syscall(SYS_gettid);
  for (int k = 0; k < 100; k++) {
    register long x8 asm("x8") = SYS_tgkill;
    register long x0 asm("x0") = pid;
    register long x1 asm("x1") = tid;
    register long x2 asm("x2") = SIGUSR1;
    asm volatile("str x29, %0\n svc #0" : "=m"(interrupted_fp), "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  }
  EQUAL(calls, 100);
  return done();
}
