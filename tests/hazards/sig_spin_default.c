// hazard: an endless loop is killed by a signal that has no handler.
// ends: signal 14
// machines: x86-64 aarch64
#include "hazard.h"
int main(void) {
  alarm_ms(50);
  for (;;)
    asm volatile("");
}
