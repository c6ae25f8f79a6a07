// hazard: a double fork makes an orphan that outlives its parent and still works; sessions and pipes close properly.
// machines: x86-64 aarch64
#include "hazard.h"
int main(void) {
  int fds[2];
  pipe(fds);
  pid_t p = fork();
  if (!p) {
    close(fds[0]);
    setsid();
    if (fork())
      _exit(0);
    sleep_ms(30);
    dprintf(fds[1], "orphan %d\n", getppid() != p);
    _exit(0);
  }
  close(fds[1]);
  printf("%s\n", ending(p));
  char b[100];
  long n, total = 0;
  while ((n = read(fds[0], b + total, sizeof b - total)) > 0)
    total += n;
  printf("%.*send of file\n", (int)total, b);
  return done();
}
