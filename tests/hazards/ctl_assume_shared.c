// hazard: a loop that was optimised while nobody shared memory polls memory that another process writes.
// machines: x86-64 aarch64
#include "hazard.h"
static __attribute__((noinline)) long poll(long *word, long old, long most) {
  long n = 0;
  while (*word == old && n < most) {
    n++;
    asm volatile("" : : : "memory");
  }
  return n;
}
static __attribute__((noinline)) void store(long *word, long *copy, long n) {
  for (long i = 1; i <= n; i++) {
    *word = i;
    *copy = *word;
    asm volatile("" : : : "memory");
  }
}
int main(void) {
  long own = 5, copy = 0;
  EQUAL(poll(&own, 5, 300000), 300000);
  store(&own, &copy, 300000);
  EQUAL(own, 300000);
  /* Shared memory appears, in three ways. */
  for (int way = 0; way < 3; way++) {
    long *p = MAP_FAILED;
    if (way == 0)
      p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (way == 1) {
      int fd = memfd_create("m", 0);
      CHECK(ftruncate(fd, 4096) == 0);
      p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
      CHECK(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0);
      close(fd);
    }
    if (way == 2) {
      char name[] = "/tmp/assume_shared_XXXXXX";
      int fd = mkstemp(name);
      unlink(name);
      CHECK(ftruncate(fd, 4096) == 0);
      p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE, fd, 0);
      close(fd);
    }
    CHECK(p != MAP_FAILED);
    p[0] = p[1] = 0;
    pid_t child = fork();
    if (child == 0) {
      sleep_ms(5);
      p[0] = 1;
      poll(p + 1, 0, LONG_MAX);
      store(p + 2, p + 3, 1000);
      _exit(p[1] == 7 ? 0 : 1);
    }
    poll(p, 0, LONG_MAX);
    EQUAL(p[0], 1);
    p[1] = 7;
    CHECK(!strcmp(ending(child), "exit 0"));
    EQUAL(p[3], 1000);
    munmap(p, 4096);
  }
  return done();
}
