// verify: time, random numbers, identification and saved processor state.
// flags: -O1 -static
#include <cpuid.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <x86intrin.h>
__attribute__((target("xsave,fxsr"))) static int saved(void) {
  static char area[8192] __attribute__((aligned(64)));
  _xsave64(area, 7);
  int n = area[512] & 3;
  _fxsave64(area);
  return n;
}
int main(void) {
  unsigned a, b, c, d, aux; int ok = 0;
  for (int i = 0; i < 3; i++) {
    unsigned long t = __rdtsc(), u = __rdtscp(&aux);
    struct timespec now; clock_gettime(CLOCK_MONOTONIC, &now);
    __cpuid(1, a, b, c, d);
    ok += u > t && now.tv_sec >= 0 && (d & 1) && time(0) > 1000000;
    if (c & 1 << 30) { unsigned long r; unsigned char got; asm volatile("rdrand %0\n setc %1" : "=r"(r), "=qm"(got) : : "cc"); ok += got && r == 0; }
  }
  if (c & 1 << 27) saved();
  printf("%d\n", ok);
}
