// hazard: nested functions put trampolines on an executable stack; their addresses repeat with other contents.
// flags: -O0 -z execstack
#include "hazard.h"
static int apply(int (*f)(int), int n) {
  int s = 0;
  for (int i = 0; i < n; i++)
    s += f(i);
  return s;
}
static int outer(int k, int n) {
  int add(int x) { return x + k; }
  int mul(int x) { return x * k; }
  return apply(k & 1 ? add : mul, n);
}
int main(void) {
  for (int k = 0; k < 500; k++)
    EQUAL(outer(k, 40), k & 1 ? 780 + 40 * k : 780 * k);
  return done();
}
