// hazard: an interpreter with computed gotos and a switch: indirect jumps whose targets vary.
// flags: -O2
// machines: x86-64 aarch64
#include "hazard.h"
static long run(const unsigned char *code) {
  static void *ops[] = {&&push, &&add, &&dup, &&swap, &&dec, &&jnz, &&halt, &&mul};
  long stack[32], *sp = stack;
  const unsigned char *pc = code;
#define NEXT goto *ops[*pc++]
  NEXT;
push: *sp++ = *pc++; NEXT;
add: sp--; sp[-1] += sp[0]; NEXT;
dup: *sp = sp[-1]; sp++; NEXT;
swap: { long t = sp[-1]; sp[-1] = sp[-2]; sp[-2] = t; } NEXT;
dec: sp[-1]--; NEXT;
jnz: if (sp[-1]) pc = code + *pc; else pc++; NEXT;
mul: sp[-1] *= 3; NEXT;
halt: return sp[-2];
}
static __attribute__((noinline)) int sw(int x) {
  switch (x & 15) {
  case 0: return 3; case 1: return x * 5; case 2: return x ^ 9; case 3: return 1; case 4: return x + x;
  case 5: return 77; case 6: return ~x; case 7: return x >> 1; case 8: return x << 1; case 9: return 11;
  case 10: return x - 9; case 11: return 0; case 12: return x % 7; case 13: return x / 3; case 14: return 2; default: return -x;
  }
}
int main(void) {
  static const unsigned char code[] = {0, 1, 0, 250, 3, 7, 0, 5, 1, 3, 4, 5, 4, 6};
  long sum = 0;
  for (int i = 0; i < 3000; i++)
    sum ^= run(code) + i;
  uint64_t s = 1;
  for (int i = 0; i < 1000000; i++)
    sum += sw((int)(rnd(&s) >> 40));
  printf("%ld\n", sum);
  return done();
}
