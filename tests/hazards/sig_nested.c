// hazard: handlers interrupt handlers; sa_mask decides who waits, the order on return is the kernel's.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int level;
static void handler(int s) {
  printf("%*senter %d\n", 2 * level, "", s);
  level++;
  if (s == SIGUSR1) {
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGTERM);
    raise(SIGHUP);
  } else if (s == SIGUSR2) {
    raise(SIGHUP);
  }
  level--;
  printf("%*sleave %d\n", 2 * level, "", s);
}
int main(void) {
  int count = 0;
  struct sigaction sa = {0};
  sa.sa_handler = handler;
  sigemptyset(&sa.sa_mask);
  sigaddset(&sa.sa_mask, SIGTERM);
  sigaction(SIGUSR1, &sa, NULL);
  sigemptyset(&sa.sa_mask);
  sigaction(SIGUSR2, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
  sigfillset(&sa.sa_mask);
  sigaction(SIGHUP, &sa, NULL);
  raise(SIGTERM);
  raise(SIGUSR2);
  /* SIGUSR1 raises itself while blocked: it would run for ever; change its handler first */
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, SIGUSR2);
  sigaddset(&m, SIGHUP);
  sigaddset(&m, SIGTERM);
  sigprocmask(SIG_BLOCK, &m, NULL);
  raise(SIGTERM);
  raise(SIGHUP);
  raise(SIGUSR2);
  printf("unblock\n");
  sigprocmask(SIG_UNBLOCK, &m, NULL);
  sa.sa_flags = SA_RESETHAND;
  sa.sa_handler = handler;
  sigemptyset(&sa.sa_mask);
  printf("done\n");
  return done();
}
