// verify: recursion, virtual calls, calls through tables, switches.
// flags: -O2 -static -fno-exceptions -fno-rtti
#include <cstdio>
struct Shape { virtual int area(int) = 0; };
struct Square : Shape { int area(int n) override { return n * n; } };
struct Line : Shape { int area(int n) override { return n; } };
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static int one(int x) { return x + 1; }
static int two(int x) { return x * 2; }
int main() {
  static Square s; static Line l; Shape *shapes[] = {&s, &l}; int (*volatile table[])(int) = {one, two};
  long sum = fib(11);
  for (int i = 0; i < 120; i++) {
    sum += shapes[i * 5 % 3 & 1]->area(i % 20);
    sum = table[sum & 1](sum);
    switch (i % 7) { case 0: sum ^= 5; break; case 1: sum += 9; break; case 2: sum -= i; break; case 4: sum |= 1; break; default: sum &= 0xffffff; }
  }
  printf("%ld\n", sum);
}
