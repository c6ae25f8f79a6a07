// hazard: a bad pointer given to a system call is EFAULT, not a signal.
// tiers: interp
#include "hazard.h"
#include <poll.h>
#include <sys/uio.h>
int main(void) {
  char *bad = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = open("/dev/zero", O_RDONLY), p[2];
  pipe(p);
  struct {
    const char *name;
    long r;
  } t[] = {
      {"read", syscall(SYS_read, fd, bad, 10)},
      {"write", syscall(SYS_write, p[1], bad, 10)},
      {"open", syscall(SYS_open, bad, 0)},
      {"execve", syscall(SYS_execve, bad, NULL, NULL)},
      {"execve argv", syscall(SYS_execve, "/bin/true", bad, NULL)},
      {"rt_sigaction", syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8)},
      {"rt_sigaction old", syscall(SYS_rt_sigaction, SIGUSR1, NULL, bad, 8)},
      {"rt_sigaction size", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4)},
      {"rt_sigaction kill", syscall(SYS_rt_sigaction, SIGKILL, p, NULL, 8)},
      {"rt_sigprocmask", syscall(SYS_rt_sigprocmask, 0, bad, NULL, 8)},
      {"rt_sigprocmask how", syscall(SYS_rt_sigprocmask, 9, p, NULL, 8)},
      {"sigaltstack", syscall(SYS_sigaltstack, bad, NULL)},
      {"wait4", syscall(SYS_wait4, -1, bad, 0, NULL)},
      {"pipe", syscall(SYS_pipe, bad)},
      {"stat", syscall(SYS_stat, "/", bad)},
      {"nanosleep", syscall(SYS_nanosleep, bad, NULL)},
      {"clone3", syscall(SYS_clone3, bad, 88)},
      {"mmap", (long)mmap((void *)123, 4096, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
      {"munmap", munmap((void *)1, 4096)},
      {"mprotect", mprotect(NULL, 4096, PROT_READ)},
      {"no such call", syscall(9999)},
      {"negative call", syscall(-5)},
  };
  for (int i = 0; i < sizeof t / sizeof *t; i++)
    printf("%s %ld\n", t[i].name, t[i].r);
  errno = 0;
  syscall(SYS_read, fd, bad, 10);
  printf("%s\n", strerrorname_np(errno));
  errno = 0;
  syscall(SYS_execve, bad, NULL, NULL);
  printf("%s\n", strerrorname_np(errno));
  errno = 0;
  syscall(9999);
  printf("%s\n", strerrorname_np(errno));
  return done();
}
