// hazard: reservations at fixed addresses over most of the address space, as ThreadSanitizer makes them.
#include "hazard.h"

/* What it does not let anybody use, on x86-64 with 47 bits of address space, and the shadow between. */
static const unsigned long gaps[][2] = {
    {0x200000000000, 0x300000000000}, {0x300000000000, 0x340000000000}, {0x340000000000, 0x550000000000},
    {0x568000000000, 0x600000000000}, {0x600000000000, 0x620000000000}, {0x620000000000, 0x7b0000000000},
    {0x7c0000000000, 0x7e8000000000}};

int main(void) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
    void *at = (void *)gaps[i][0];
    if (mmap(at, gaps[i][1] - gaps[i][0], PROT_NONE, flags, -1, 0) != at)
      printf("%#lx to %#lx is not free: %d\n", gaps[i][0], gaps[i][1], errno);
  }
  return done();
}
