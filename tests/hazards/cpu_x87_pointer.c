// hazard: fnstenv and fxsave report the program counter of the last x87 instruction: the program's own.
// differs: the x87 saves the address in the code cache as that of its last instruction
#include "hazard.h"
extern char fp_at[];
static struct {
  uint16_t cw, sw;
  uint8_t tw, r;
  uint16_t op;
  uint64_t ip, dp;
  char rest[496];
} fx __attribute__((aligned(64)));
int main(void) {
  double d = 2;
  for (int i = 0; i < 300; i++) {
    memset(&fx, 0, sizeof fx);
    /* AMD saves pointers only when an unmasked exception is pending: mask none, divide by zero */
    unsigned short cw = 0x37f & ~4;
    double zero = 0, one = 1;
    asm volatile("fninit\n fldcw %1\n fldl %2\n .globl fp_at\nfp_at: fdivl %3\n fxsave64 %0\n fninit" : "=m"(fx) : "m"(cw), "m"(one), "m"(zero) : "memory");
    if (fx.ip && fx.ip != (uint64_t)fp_at) {
      EQUAL(fx.ip, (uint64_t)fp_at);
      break;
    }
  }
  return done();
}
