// hazard: sigaltstack: where the handler runs, what is reported inside and outside, nesting, SS_AUTODISARM.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static char stack1[65536] __attribute__((aligned(16)));
static volatile int depth;
static int on_alt(void *p) { return (char *)p >= stack1 && (char *)p < stack1 + sizeof stack1; }
static void handler(int s, siginfo_t *i, void *u) {
  char local;
  stack_t st;
  sigaltstack(NULL, &st);
  printf("sig %d on alt %d flags %x size %zu\n", s, on_alt(&local), st.ss_flags, st.ss_size);
  stack_t want = {stack1, 0, sizeof stack1};
  int r = sigaltstack(&want, NULL);
  printf("change inside: %d %s\n", r, r ? strerrorname_np(errno) : "-");
  printf("uc_stack flags %x same %d\n", ((ucontext_t *)u)->uc_stack.ss_flags,
         ((ucontext_t *)u)->uc_stack.ss_sp == stack1);
  CHECK(((uintptr_t)__builtin_frame_address(0) & 15) == 0);
  if (depth++ < 2)
    raise(SIGUSR2);
}
int main(void) {
  stack_t st = {stack1, 0, sizeof stack1}, old;
  CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
  CHECK(sigaltstack(&st, NULL) == 0);
  on_signal(SIGUSR1, handler, SA_SIGINFO | SA_ONSTACK);
  on_signal(SIGUSR2, handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER);
  raise(SIGUSR1);
  depth = 5;
  on_signal(SIGUSR1, handler, SA_SIGINFO);
  raise(SIGUSR1);
  st.ss_size = 100;
  errno = 0;
  printf("too small: %d ", sigaltstack(&st, NULL));
  printf("%s\n", strerrorname_np(errno));
  st.ss_size = sizeof stack1;
  st.ss_flags = 1 << 31; /* SS_AUTODISARM */
  CHECK(sigaltstack(&st, NULL) == 0);
  on_signal(SIGUSR1, handler, SA_SIGINFO | SA_ONSTACK);
  raise(SIGUSR1);
  sigaltstack(NULL, &old);
  printf("after: flags %x\n", old.ss_flags);
  st.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&st, NULL) == 0);
  raise(SIGUSR1);
  return done();
}
