// hazard: an uncaught exception ends in terminate and SIGABRT, with its message.
// ends: signal 6
// machines: x86-64 aarch64
#include "hazard.h"
#include <stdexcept>
static __attribute__((noinline)) void f(int n) {
  if (n)
    f(n - 1);
  else
    throw std::runtime_error("nobody catches this");
}
int main() {
  f(5);
  return 0;
}
