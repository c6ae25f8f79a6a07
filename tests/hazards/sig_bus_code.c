// hazard: executing a mapping whose file was truncated kills with SIGBUS.
#include "hazard.h"
int main(void) {
  int fd = memfd_create("x", 0);
  ftruncate(fd, 4096);
  pwrite(fd, "\xb8\x05\0\0\0\xc3", 6, 0);
  int (*f)(void) = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  EQUAL(f(), 5);
  pid_t p = fork();
  if (!p) {
    EQUAL(f(), 5);
    ftruncate(fd, 0);
    f();
    _exit(1);
  }
  printf("%s\n", ending(p));
  return done();
}
