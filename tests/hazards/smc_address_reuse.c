// hazard: munmap and mmap bring other code to the same address; so do MAP_FIXED and mremap.
#include "hazard.h"
static void put(unsigned char *p, int v) {
  p[0] = 0xb8;
  memcpy(p + 1, &v, 4);
  p[5] = 0xc3;
}
static int hot(void *p) {
  int (*volatile f)(void) = p, r = 0;
  for (int i = 0; i < 300; i++)
    r = f();
  return r;
}
int main(void) {
  const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC, anon = MAP_PRIVATE | MAP_ANONYMOUS;
  unsigned char *at = mmap(NULL, 65536, rwx, anon, -1, 0);
  for (int i = 0; i < 200; i++) {
    munmap(at, 65536);
    unsigned char *p = mmap(at, 65536, rwx, anon, -1, 0);
    CHECK(p == at);
    put(p + (i % 16) * 4096, i);
    EQUAL(hot(p + (i % 16) * 4096), i);
  }
  for (int i = 0; i < 200; i++) {
    CHECK(mmap(at, 4096, PROT_READ | PROT_WRITE, anon | MAP_FIXED, -1, 0) == at);
    put(at, 1000 + i);
    mprotect(at, 4096, PROT_READ | PROT_EXEC);
    EQUAL(hot(at), 1000 + i);
  }
  unsigned char *spare = mmap(NULL, 4096, PROT_NONE, anon, -1, 0);
  for (int i = 0; i < 100; i++) {
    unsigned char *src = mmap(NULL, 4096, rwx, anon, -1, 0);
    put(src, 2000 + i);
    EQUAL(hot(src), 2000 + i);
    CHECK(mremap(src, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, spare) == spare);
    EQUAL(hot(spare), 2000 + i);
    int fd = memfd_create("c", 0);
    unsigned char b[8];
    put(b, 3000 + i);
    (void)!write(fd, b, 8);
    CHECK(mmap(spare, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) == spare);
    EQUAL(hot(spare), 3000 + i);
    close(fd);
  }
  /* code that is gone must fault, not run from memory of it */
  fflush(stdout);
  pid_t c = fork();
  if (!c) {
    munmap(spare, 4096);
    hot(spare);
    _exit(0);
  }
  printf("unmapped: %s\n", ending(c));
  fflush(stdout);
  c = fork();
  if (!c) {
    mprotect(spare, 4096, PROT_READ);
    hot(spare);
    _exit(0);
  }
  printf("not executable: %s\n", ending(c));
  fflush(stdout);
  return done();
}
