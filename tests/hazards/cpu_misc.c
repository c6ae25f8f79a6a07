// hazard: cpuid, rdtsc, rdtscp, rdrand, bswap, popcnt, pdep, movabs with absolute addresses, lahf, cmov, prefetch, in odd encodings.
// flags: -no-pie
#include "hazard.h"
#include <cpuid.h>
long abs_cell = 0x1020304050607080;
int main(void) {
  unsigned a, b, c, d, a2, b2, c2, d2;
  __cpuid_count(7, 0, a, b, c, d);
  __cpuid(1, a2, b2, c2, d2);
  printf("%x %x %x\n", b, c2 & ~0x8000000, d2);
  char vendor[13] = {0};
  __cpuid(0, a, *(unsigned *)vendor, *(unsigned *)(vendor + 8), *(unsigned *)(vendor + 4));
  puts(vendor);
  for (int i = 0; i < 500; i++) {
    uint64_t t1, t2;
    asm volatile("rdtsc; shl $32, %%rdx; or %%rdx, %%rax" : "=a"(t1) : : "rdx");
    asm volatile("rdtscp; shl $32, %%rdx; or %%rdx, %%rax" : "=a"(t2) : : "rdx", "rcx");
    CHECK(t2 >= t1);
    long x;
    asm volatile("movabs abs_cell, %%rax" : "=a"(x) : : "memory");
    EQUAL(x, 0x1020304050607080 + i);
    asm volatile("movabs %%rax, abs_cell" : : "a"(x + 1) : "memory");
    unsigned char low;
    asm volatile("movabs abs_cell, %%al" : "=a"(low) : : "memory");
    EQUAL(low, (0x80 + i + 1) & 0xff);
    long f;
    asm volatile("xor %%eax, %%eax; stc; lahf; mov $0xd5, %%ah; sahf; pushfq; pop %0" : "=r"(f) : : "rax", "cc");
    EQUAL(f & 0xd5, 0xd5);
    asm volatile("stc; cmc; setc %b0; movzbl %b0, %k0" : "=q"(f) : : "cc");
    EQUAL(f, 0);
    asm volatile("mov $0x12345678, %%eax; bswap %%eax; popcnt %%rax, %%rdx; tzcnt %%rax, %%rcx; prefetcht0 (%%rsp); pause; lfence; sfence; .byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0; .byte 0x66, 0x66, 0x90"
                 : "=a"(f) : : "rcx", "rdx", "cc");
    EQUAL(f, 0x78563412);
    /* redundant and repeated prefixes */
    asm volatile("xor %%eax, %%eax; .byte 0x66, 0x66, 0x66, 0x48, 0xff, 0xc0; .byte 0x2e, 0x3e, 0x26, 0x48, 0xff, 0xc0; .byte 0x40, 0x48, 0xff, 0xc0" : "=a"(f) : : "cc");
    EQUAL(f, 3);
    asm volatile("mov $-1, %%rax; mov $5, %%al; mov $6, %%ah; movw $7, %%ax; mov %%eax, %%eax" : "=a"(f));
    EQUAL(f, 0xffff0007);
    unsigned short sreg;
    asm volatile("mov %%cs, %0" : "=r"(sreg));
    EQUAL(sreg, 0x33);
    asm volatile("mov %%ss, %0" : "=r"(sreg));
    EQUAL(sreg, 0x2b);
    asm volatile("mov %%ds, %0" : "=r"(sreg));
    EQUAL(sreg, 0);
  }
  return done();
}
