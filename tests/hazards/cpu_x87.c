// hazard: the x87 stack, control word and last-instruction pointer live across indirect branches, calls and signals.
// libs: -lm
#include "hazard.h"
#include <math.h>
static volatile int hits;
static void handler(int s) {
  hits++;
  asm volatile("fninit");
}
int main(void) {
  on_signal(SIGALRM, handler, SA_RESTART);
  ticks_us(900);
  unsigned short cw_in = 0x77f & ~0x300, cw_out;
  double start = now();
  for (int round = 0; round < 60 || (hits <= 5 && now() - start < PATIENCE); round++) {
    double out[3];
    asm volatile("fninit\n fldcw %1\n fldpi\n fldl2e\n fldln2\n mov $200000, %%ecx\n"
                 "1: lea 2f(%%rip), %%rax\n jmp *%%rax\n 2: fxch %%st(1)\n fxch %%st(1)\n call 3f\n jmp 4f\n 3: ret\n 4: dec %%ecx\n jnz 1b\n"
                 "fnstcw %0\n fstpl %2\n fstpl 8+%2\n fstpl 16+%2\n fninit"
                 : "=m"(cw_out), "+m"(cw_in), "=m"(out) : : "rax", "rcx", "memory", "cc");
    EQUAL(cw_out, cw_in);
    if (round == 0)
      printf("%.17g %.17g %.17g\n", out[0], out[1], out[2]);
    CHECK(fabs(out[2] - M_PI) < 1e-6 && fabs(out[0] - M_LN2) < 1e-6);
  }
  ticks_us(0);
  CHECK(hits > 5);
  long double l = 1;
  for (int i = 1; i < 60; i++)
    l = l * i / (i + 0.5L) + sinl(l);
  printf("%.20Lg\n", l);
  return done();
}
