// hazard: mmap hints, MAP_FIXED_NOREPLACE, mremap growth and moves, MAP_GROWSDOWN, mlock, mincore, huge reservations.
#include "hazard.h"
int main(void) {
  char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(p + 5000, "content");
  char *q = mremap(p, 1 << 20, 8 << 20, MREMAP_MAYMOVE);
  CHECK(!strcmp(q + 5000, "content"));
  q[(8 << 20) - 1] = 1;
  char *hint = (char *)0x200000000000;
  CHECK(mmap(hint, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == hint);
  CHECK(mmap(hint, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
  EQUAL(errno, EEXIST);
  char *low = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  CHECK((uintptr_t)low < 0x80000000);
  CHECK(mmap((void *)0x10000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)0x10000);
  char *big = mmap(NULL, 1l << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(big != MAP_FAILED);
  CHECK(mprotect(big + (1l << 39), 4096, PROT_READ | PROT_WRITE) == 0);
  big[1l << 39] = 1;
  munmap(big, 1l << 40);
  char *top = mmap((char *)0x300000000000, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
  for (char *a = top; a > top - 65536 * 4; a -= 4096)
    *a = 1;
  EQUAL(munmap(q, 8 << 20), 0);
  EQUAL(munmap((void *)0x123, 4096), -1);
  CHECK(mmap((void *)(1ul << 47), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
  EQUAL(errno, ENOMEM);
  return done();
}
