// hazard: mprotect over a hole changes what lies in front of it and fails; madvise works on both sides of one.
#include "hazard.h"

static sigjmp_buf back;
static void caught(int signal) { siglongjmp(back, signal); }

static int writable(volatile char *p) {
  if (sigsetjmp(back, 1))
    return 0;
  *p = *p;
  return 1;
}

static int call(char *p) {
  if (sigsetjmp(back, 1))
    return -1;
  return ((int (*)(void))p)();
}

/* mov eax, VALUE; ret */
static void code(char *p, int value) {
  memcpy(p, "\xb8\0\0\0\0\xc3", 6);
  memcpy(p + 1, &value, 4);
}

int main(void) {
  signal(SIGSEGV, caught);
  char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  code(p, 7);
  p[2 * 4096] = 1;
  munmap(p + 4096, 4096);

  /* Executable as far as the hole, and then no longer. */
  EQUAL(mprotect(p, 3 * 4096, PROT_READ | PROT_EXEC), -1);
  EQUAL(errno, ENOMEM);
  CHECK(!writable(p));
  CHECK(writable(p + 2 * 4096));
  for (int i = 0; i < 100; i++)
    EQUAL(call(p), 7);
  EQUAL(mprotect(p, 3 * 4096, PROT_READ | PROT_WRITE), -1);
  CHECK(writable(p));
  EQUAL(call(p), -1);
  code(p, 8);
  EQUAL(mprotect(p, 3 * 4096, PROT_READ | PROT_EXEC), -1);
  EQUAL(call(p), 8);

  /* The advice reaches what lies behind the hole. */
  EQUAL(madvise(p, 3 * 4096, MADV_DONTNEED), -1);
  EQUAL(errno, ENOMEM);
  EQUAL(p[2 * 4096], 0);
  return done();
}
