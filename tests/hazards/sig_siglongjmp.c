// hazard: siglongjmp out of handlers, thousands of times, from timers and from faults.
// machines: x86-64 aarch64
#include "hazard.h"
static sigjmp_buf env;
static volatile int spin;
static void handler(int s) { siglongjmp(env, s); }
int main(void) {
  volatile int faults = 0, ticks = 0;
  on_signal(SIGSEGV, handler, 0);
  on_signal(SIGALRM, handler, 0);
  for (volatile int i = 0; i < 20000; i++) {
    if (sigsetjmp(env, 1) == 0)
      *(volatile int *)(uintptr_t)(i % 4096) = 1;
    else
      faults++;
  }
  for (volatile int i = 0; i < 50; i++) {
    if (sigsetjmp(env, 1) == 0) {
      alarm_ms(2);
      while (!spin) {
      }
    } else
      ticks++;
  }
  EQUAL(faults, 20000);
  EQUAL(ticks, 50);
  sigset_t m;
  sigprocmask(SIG_BLOCK, NULL, &m);
  CHECK(!sigismember(&m, SIGSEGV) && !sigismember(&m, SIGALRM));
  return done();
}
