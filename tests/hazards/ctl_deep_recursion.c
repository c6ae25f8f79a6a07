// hazard: recursion deeper than any return predictor, ackermann and mutual recursion.
// machines: x86-64 aarch64
#include "hazard.h"
static __attribute__((noinline)) long down(long n) { return n ? 1 + down(n - 1) : 0; }
static __attribute__((noinline)) int odd(int n);
static __attribute__((noinline, optimize("no-optimize-sibling-calls"))) int even(int n) { return n ? odd(n - 1) : 1; }
static __attribute__((noinline, optimize("no-optimize-sibling-calls"))) int odd(int n) { return n ? even(n - 1) : 0; }
static __attribute__((noinline)) int ack(int m, int n) { return !m ? n + 1 : !n ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }
static __attribute__((noinline)) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
int main(void) {
  for (int i = 0; i < 30; i++)
    EQUAL(down(50000), 50000);
  printf("%d %d %d\n", even(40001), ack(2, 300), fib(27));
  return done();
}
