// hazard: string instructions with all prefixes, sizes, counts and both directions.
// tiers: interp
#include "hazard.h"
static unsigned char a[512], b[512];
static uint64_t digest;
static void mix(uint64_t v) { digest = (digest ^ v) * 1099511628211ull; }
#define RUN(ins)                                                                                       \
  do {                                                                                                 \
    for (int i = 0; i < 512; i++)                                                                      \
      a[i] = (unsigned char)(i * 7 / 3), b[i] = (unsigned char)(i < 200 + n ? i * 7 / 3 : i);          \
    uint64_t s = (uint64_t)a + 128, d = (uint64_t)b + 128, c = n, x = 0x2a, f;                         \
    asm volatile(ins "\n pushfq\n pop %4\n cld" : "+S"(s), "+D"(d), "+c"(c), "+a"(x), "=r"(f) : : "memory", "cc"); \
    mix(s - (uint64_t)a), mix(d - (uint64_t)b), mix(c), mix(x), mix(f & 0x8d5);                        \
    for (int i = 0; i < 512; i++)                                                                      \
      mix(a[i] * 256 + b[i]);                                                                          \
  } while (0)
int main(void) {
  digest = 1469598103934665603ull;
  for (int n = 0; n < 24; n++) {
    RUN("cmp $0, %%eax\n rep movsb");
    RUN("cmp $0, %%eax\n rep movsl");
    RUN("cmp $0, %%eax\n rep stosw");
    RUN("cmp $0, %%eax\n rep stosq");
    RUN("cmp %%eax, %%eax\n repe cmpsb");
    RUN("cmp $0, %%eax\n repne scasb");
    RUN("cmp $0, %%eax\n repe scasw");
    RUN("cmp $0, %%eax\n repne cmpsq");
    RUN("cmp $0, %%eax\n std\n rep movsb");
    RUN("cmp $0, %%eax\n std\n rep stosl");
    RUN("cmp $0, %%eax\n std\n repne scasq");
    RUN("cmp $0, %%eax\n movsb\n stosb\n lodsb\n scasb\n cmpsb\n lodsq");
    RUN("cmp $0, %%eax\n rep lodsb");
    if (n < 8)
      printf("%d %016lx\n", n, digest);
  }
  printf("%016lx\n", digest);
  return done();
}
