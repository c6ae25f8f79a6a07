// hazard: brk and sbrk: where the heap starts, growing, shrinking, zero filling, refusal.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/resource.h>
int main(void) {
  extern char _end[];
  char *b = sbrk(0);
  CHECK(b >= _end && b < _end + (1l << 36));
  CHECK(sbrk(65536) == b);
  memset(b, 1, 65536);
  CHECK(sbrk(-65536) == b + 65536);
  CHECK(sbrk(65536) == b);
  int sum = 0;
  for (int i = 4096; i < 65536; i++)
    sum += b[i];
  EQUAL(sum, 0);
  CHECK(syscall(SYS_brk, 0) == (long)b + 65536);
  CHECK(syscall(SYS_brk, 4096) == (long)b + 65536);
  CHECK(syscall(SYS_brk, b + 100001) == (long)b + 100001);
  CHECK(brk(b + (1 << 26)) == 0);
  b[1 << 25] = 1;
  CHECK(brk(b) == 0);
  struct rlimit r = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_DATA, &r);
  CHECK(sbrk(1 << 24) == (void *)-1);
  EQUAL(errno, ENOMEM);
  return done();
}
