// hazard: real-time signals queue, in order, with their values; standard signals collapse.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int order[100], values[100], n;
static void handler(int s, siginfo_t *i, void *u) {
  order[n] = s;
  values[n++] = i->si_value.sival_int;
}
int main(void) {
  sigset_t m;
  sigfillset(&m);
  sigprocmask(SIG_BLOCK, &m, NULL);
  on_signal(SIGUSR1, handler, SA_SIGINFO);
  for (int s = SIGRTMIN; s < SIGRTMIN + 4; s++) {
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigfillset(&sa.sa_mask);
    sigaction(s, &sa, NULL);
  }
  for (int i = 0; i < 12; i++) {
    union sigval v = {.sival_int = i * 7};
    sigqueue(getpid(), SIGRTMIN + (i % 4), v);
    raise(SIGUSR1);
  }
  sigprocmask(SIG_UNBLOCK, &m, NULL);
  int usr = 0, prev = 0;
  for (int i = 0; i < n; i++) {
    if (order[i] == SIGUSR1)
      usr++;
    else
      printf("%d:%d ", order[i] - SIGRTMIN, values[i]);
  }
  printf("usr1 %d\n", usr);
  return done();
}
