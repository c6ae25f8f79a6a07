// hazard: setjmp and longjmp across many frames, in hot loops: returns that do not match their calls.
// machines: x86-64 aarch64
#include "hazard.h"
static jmp_buf top;
static long count;
static __attribute__((noinline)) int down(int n, int leave) {
  count++;
  if (n == leave)
    longjmp(top, n + 1);
  int r = down(n + 1, leave);
  return r + count;
}
static __attribute__((noinline)) int mixed(int n) {
  jmp_buf here;
  volatile int k = n;
  int r = setjmp(here);
  if (r == 0)
    longjmp(here, k + 1);
  return r;
}
int main(void) {
  volatile long sum = 0;
  for (volatile int i = 0; i < 20000; i++) {
    int r = setjmp(top);
    if (r == 0)
      down(0, i % 37);
    else
      sum += r;
    sum += mixed(i & 15);
  }
  printf("%ld %ld\n", sum, count);
  return done();
}
