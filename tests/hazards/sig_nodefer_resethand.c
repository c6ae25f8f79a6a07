// hazard: SA_NODEFER lets a handler interrupt itself, SA_RESETHAND restores the default once.
// tiers: interp
// ends: signal 12
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int depth;
static void handler(int s) {
  printf("enter %d\n", depth);
  if (++depth < 4)
    raise(s);
  printf("leave %d\n", --depth);
}
static void once(int s) {
  struct sigaction sa;
  sigaction(s, NULL, &sa);
  printf("default inside: %d\n", sa.sa_handler == SIG_DFL);
}
int main(void) {
  on_signal(SIGUSR1, handler, SA_NODEFER);
  raise(SIGUSR1);
  on_signal(SIGUSR2, once, SA_RESETHAND);
  raise(SIGUSR2);
  printf("second one kills\n");
  fflush(stdout);
  raise(SIGUSR2);
  return 1;
}
