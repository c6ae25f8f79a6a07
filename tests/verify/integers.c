// verify: integer arithmetic, shifts and bit operations in hot loops.
// flags: -O2 -static
#include <stdio.h>
static unsigned long mix(unsigned long h, unsigned long x) {
  h ^= x; h *= 0x9e3779b97f4a7c15ul; h = (h << 27) | (h >> 37);
  return h + (long)x / 7 - (x % 13) + __builtin_popcountl(x) + (x ? __builtin_clzl(x) - __builtin_ctzl(x) : 5);
}
int main(void) {
  unsigned long h = 1;
  for (unsigned long i = 0; i < 300; i++) {
    h = mix(h, i * i);
    unsigned short s = h; signed char c = h >> 9; unsigned __int128 w = (unsigned __int128)h * i;
    h += (s >> (i & 15)) + (c >> (i & 7)) + (unsigned long)(w >> 64) + (h >> (i & 63)) + __builtin_bswap32(h);
    if (h & 1 ? c > 3 : s < 9) h ^= (long)c * s;
  }
  printf("%lx\n", h);
}
