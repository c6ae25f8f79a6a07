// hazard: descriptors: the lowest free number is given out, close_range(3, ~0) and closing everything harm nobody,
// hazard: dup2 may go anywhere, RLIMIT_NOFILE may be lowered.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/resource.h>
int main(void) {
  EQUAL(open("/dev/null", O_RDONLY), 3);
  EQUAL(dup(0), 4);
  int p[2];
  pipe(p);
  EQUAL(p[0], 5);
  EQUAL(p[1], 6);
  EQUAL(syscall(SYS_close_range, 3, ~0u, 0), 0);
  EQUAL(open("/dev/null", O_RDONLY), 3);
  close(3);
  for (int fd = 3; fd < 5000; fd++)
    EQUAL(close(fd), -1);
  CHECK(system("true") == 0);
  EQUAL(dup2(1, 900), 900);
  EQUAL(fcntl(1, F_DUPFD, 1000), 1000);
  EQUAL(dup2(1, 4000), 4000);
  close(900);
  close(1000);
  struct rlimit r;
  getrlimit(RLIMIT_NOFILE, &r);
  for (long fd = (long)r.rlim_cur - 1; fd > (long)r.rlim_cur - 300; fd--) {
    if (dup2(0, fd) != fd) {
      EQUAL(dup2(0, fd), fd);
      break;
    }
  }
  EQUAL(dup2(0, r.rlim_cur), -1);
  EQUAL(syscall(SYS_close_range, 3, ~0u, 0), 0);
  r.rlim_cur = 16;
  EQUAL(setrlimit(RLIMIT_NOFILE, &r), 0);
  int n = 0;
  while (dup(0) >= 0)
    n++;
  EQUAL(n, 13);
  EQUAL(errno, EMFILE);
  int (*volatile f)(const char *) = puts;
  f("new code still translates");
  syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
  fflush(stdout);
  pid_t c = fork();
  if (!c) {
    for (int fd = 0; fd < 16; fd++)
      close(fd);
    execl("/bin/true", "true", NULL);
    _exit(1);
  }
  printf("%s\n", ending(c));
  return done();
}
