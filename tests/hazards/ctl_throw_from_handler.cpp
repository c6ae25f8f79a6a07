// hazard: a signal handler throws: unwinding passes the signal frame to a catch in the interrupted code.
// flags: -O1 -fnon-call-exceptions
// machines: x86-64 aarch64
#include "hazard.h"
struct Fault {
  long address;
};
static void handler(int s, siginfo_t *i, void *) {
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, s);
  sigprocmask(SIG_UNBLOCK, &m, nullptr);
  throw Fault{(long)i->si_addr};
}
static __attribute__((noinline)) long load(long *p) { return *p; }
static volatile int live;
struct Guard {
  Guard() { live++; }
  ~Guard() { live--; }
};
static __attribute__((noinline)) long guarded(long *p) {
  Guard g;
  return load(p) + 1;
}
int main() {
  on_signal(SIGSEGV, (void *)handler, SA_SIGINFO);
  long caught = 0, value = 5, sum = 0;
  for (int i = 0; i < 500; i++) {
    try {
      sum += guarded(i % 2 ? &value : (long *)(long)(8 * i));
    } catch (Fault &f) {
      caught += f.address;
    }
    EQUAL(live, 0);
  }
  printf("%ld %ld\n", caught, sum);
  return done();
}
