// hazard: endless recursion overflows the stack; a handler on the alternate stack sees it and jumps out.
#include "hazard.h"
static sigjmp_buf env;
static char alt[65536];
static volatile int deep;
static void handler(int s, siginfo_t *i, void *u) {
  long distance = (long)((ucontext_t *)u)->uc_mcontext.gregs[REG_RSP] - (long)i->si_addr;
  CHECK(distance > -65536 && distance < 65536);
  siglongjmp(env, 1);
}
static __attribute__((noinline)) int recurse(int n) {
  volatile char pad[200];
  pad[0] = (char)n;
  deep = n;
  return recurse(n + 1) + pad[0];
}
static __attribute__((noinline)) int forever(int n) { return n ? recurse(n) : 0; }
int main(void) {
  stack_t st = {alt, 0, sizeof alt};
  sigaltstack(&st, NULL);
  on_signal(SIGSEGV, handler, SA_SIGINFO | SA_ONSTACK);
  for (volatile int i = 0; i < 3; i++) {
    if (sigsetjmp(env, 1) == 0)
      forever(1);
    CHECK(deep > 10000);
  }
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    signal(SIGSEGV, SIG_DFL);
    forever(1);
  }
  printf("without handler: %s\n", ending(p));
  return done();
}
