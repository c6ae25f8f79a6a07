// hazard: SIGBUS on a mapping beyond the end of its file, with the address; the handler maps memory there.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static char *base;
static int hits;
static void handler(int s, siginfo_t *i, void *u) {
  hits++;
  CHECK(s == SIGBUS && i->si_code == BUS_ADRERR && (char *)i->si_addr == base + 4096 + 12);
  mmap(base + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
int main(void) {
  on_signal(SIGBUS, handler, SA_SIGINFO);
  int fd = memfd_create("x", 0);
  ftruncate(fd, 8192);
  base = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  base[4096 + 12] = 1;
  ftruncate(fd, 4096);
  EQUAL(*(volatile char *)(base + 4096 + 12), 0);
  EQUAL(hits, 1);
  return done();
}
