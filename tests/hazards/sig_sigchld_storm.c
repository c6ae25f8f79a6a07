// hazard: many children end at once; SIGCHLD handlers reap them all.
// machines: x86-64 aarch64
#include "hazard.h"
static volatile int reaped, sum;
static void handler(int s) {
  int e = errno, status;
  while (waitpid(-1, &status, WNOHANG) > 0) {
    reaped++;
    sum += WEXITSTATUS(status);
  }
  errno = e;
}
int main(void) {
  on_signal(SIGCHLD, handler, SA_RESTART);
  int expect = 0;
  for (int i = 0; i < 150; i++) {
    pid_t p = fork();
    if (!p)
      _exit(i & 31);
    CHECK(p > 0);
    expect += i & 31;
  }
  double start = now();
  while (reaped < 150 && now() - start < PATIENCE)
    sleep_ms(1);
  EQUAL(reaped, 150);
  EQUAL(sum, expect);
  return done();
}
