// verify: instructions that make, move and use flags.
// flags: -O1 -static -mno-red-zone
#include <stdio.h>
int main(void) {
  unsigned long sum = 0;
  for (unsigned long i = 0; i < 200; i++) {
    unsigned long a = i * 0x123456789abcdef1ul, b = ~a >> (i & 31), f = 0, g = 0;
    asm volatile("add %2, %0\n adc %0, %1\n sbb %2, %1\n rcl $3, %0\n rcr $1, %1\n neg %0\n adc $0, %1"
                 : "+r"(a), "+r"(b) : "r"(i) : "cc");
    asm volatile("cmp %1, %2\n pushfq\n pop %0\n lahf\n sahf\n setbe %b0\n cmc\n sbb %1, %1\n std\n cld\n stc\n pushfq\n popfq\n adc $1, %1"
                 : "=&r"(f), "+r"(b) : "r"(a) : "rax", "cc");
    asm volatile("bt %2, %1\n setc %b0\n bts %2, %1\n btr $5, %1\n btc $9, %1\n shld %b2, %1, %1" : "+r"(g), "+r"(b) : "c"(i & 63) : "cc");
    sum = sum * 31 + a + b + (f & 0x8c5) + g;
  }
  printf("%lx\n", sum);
}
