// hazard: resource limits and personality are the program's; small ones must not break the runtime.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/personality.h>
#include <sys/resource.h>
int main(void) {
  printf("%#x\n", personality(0xffffffff));
  struct rlimit r;
  for (int i = 0; i < 16; i++) {
    getrlimit(i, &r);
    printf("%d: %lx %lx\n", i, r.rlim_cur, r.rlim_max);
  }
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    r.rlim_cur = r.rlim_max = 1;
    setrlimit(RLIMIT_CPU, &r);
    for (;;)
      asm volatile("");
  }
  printf("cpu: %s\n", ending(p));
  fflush(stdout);
  p = fork();
  if (!p) {
    r.rlim_cur = r.rlim_max = 100;
    setrlimit(RLIMIT_FSIZE, &r);
    int fd = open("file", O_WRONLY | O_CREAT, 0644);
    char b[200] = {0};
    EQUAL(write(fd, b, 200), 100);
    write(fd, b, 200);
    _exit(1);
  }
  printf("fsize: %s\n", ending(p));
  fflush(stdout);
  p = fork();
  if (!p) {
    r.rlim_cur = r.rlim_max = 256 << 20;
    setrlimit(RLIMIT_STACK, &r);
    execl("/bin/sh", "sh", "-c", "ulimit -s", NULL);
  }
  printf("stack: %s\n", ending(p));
  struct rusage u;
  CHECK(getrusage(RUSAGE_CHILDREN, &u) == 0 && u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6 > 0.3);
  return done();
}
