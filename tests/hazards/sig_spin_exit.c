// hazard: the only way out of an endless empty loop is a signal whose handler exits.
// ends: exit 5
// machines: x86-64 aarch64
#include "hazard.h"
static void handler(int s) {
  (void)!write(1, "bye\n", 4);
  _exit(5);
}
int main(void) {
  on_signal(SIGALRM, handler, 0);
  alarm_ms(50);
  for (;;)
    asm volatile("");
}
