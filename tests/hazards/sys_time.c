// hazard: vdso calls and time keep working and agree with the system calls.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/times.h>
int main(void) {
  struct timespec a, b;
  for (int i = 0; i < 20000; i++) {
    clock_gettime(CLOCK_MONOTONIC, &a);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b);
    double d = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    if (d < 0 || d > 1) {
      CHECK(d >= 0 && d < 1);
      break;
    }
  }
  struct timeval tv;
  gettimeofday(&tv, NULL);
  CHECK(labs(time(NULL) - tv.tv_sec) <= 1);
  unsigned cpu, node;
  CHECK(getcpu(&cpu, &node) == 0);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
  for (volatile long i = 0; i < 20000000; i++) {
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
  CHECK(b.tv_sec > a.tv_sec || b.tv_nsec > a.tv_nsec);
  CHECK(clock_getres(CLOCK_REALTIME, &a) == 0);
  return done();
}
