// hazard: a static executable without position independence.
// flags: -static -no-pie -O2
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static __thread int t = 7;
int main(int argc, char **argv) {
  printf("%d %d %s\n", argc, t, strrchr(argv[0], '/'));
  return done();
}
