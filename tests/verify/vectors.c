// verify: SSE2 loops made by the compiler, and AVX2 where the CPU has it.
// flags: -O3 -static
#include <stdio.h>
#define LOOP(name, attribute) \
  attribute static long name(void) { \
    static int a[256]; static float b[256]; static short c[256]; long sum = 0; \
    for (int i = 0; i < 256; i++) { a[i] = i * 77 - 900; b[i] = i * 0.25f; c[i] = i * 300; } \
    for (int r = 0; r < 3; r++) \
      for (int i = 0; i < 256; i++) { a[i] = a[i] > 50 ? a[i] - c[i] : a[i] * 3; b[i] = b[i] * 1.5f + (float)a[i]; c[i] += a[i] >> 3; } \
    for (int i = 0; i < 256; i++) sum += a[i] ^ c[i]; \
    for (int i = 0; i < 256; i++) sum += (int)b[i]; \
    return sum; }
LOOP(plain, __attribute__((noinline)))
LOOP(avx2, __attribute__((noinline, target("avx2"))))
int main(void) {
  long p = plain();
  printf("%ld %d\n", p, __builtin_cpu_supports("avx2") ? avx2() == p : 1);
}
