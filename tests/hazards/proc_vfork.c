// hazard: vfork shares memory until exec or _exit; the parent's state survives; a missing program is reported.
// machines: x86-64 aarch64
#include "hazard.h"
int main(int argc, char **argv) {
  if (argc > 1)
    return atoi(argv[1]);
  volatile int shared = 1;
  for (int i = 0; i < 10; i++) {
    char n[8];
    sprintf(n, "%d", i);
    pid_t p = vfork();
    if (!p) {
      shared += 10;
      execl("/proc/self/exe", argv[0], n, NULL);
      _exit(99);
    }
    EQUAL(shared, 1 + 10 * (i + 1));
    printf("%s\n", ending(p));
  }
  pid_t p = vfork();
  if (!p) {
    execl("/does/not/exist", "x", NULL);
    shared = errno;
    _exit(3);
  }
  EQUAL(shared, ENOENT);
  printf("%s\n", ending(p));
  return done();
}
