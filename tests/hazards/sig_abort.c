// hazard: abort kills with SIGABRT even when a handler returns; assert speaks on standard error.
// tiers: interp
// ends: signal 6
// machines: x86-64 aarch64
#include "hazard.h"
#include <assert.h>
static void handler(int s) { (void)!write(1, "handler\n", 8); }
int main(void) {
  pid_t p = fork();
  if (!p) {
    assert(getpid() == 0);
    _exit(0);
  }
  printf("%s\n", ending(p));
  fflush(stdout);
  on_signal(SIGABRT, handler, 0);
  abort();
}
