// hazard: signals taken without a handler: sigwaitinfo, sigtimedwait, sigwait, signalfd.
// machines: x86-64 aarch64
#include "hazard.h"
#include <sys/signalfd.h>
int main(void) {
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, SIGUSR1);
  sigaddset(&m, SIGRTMIN + 1);
  sigaddset(&m, SIGALRM);
  sigaddset(&m, SIGCHLD);
  sigprocmask(SIG_BLOCK, &m, NULL);
  siginfo_t si;
  union sigval v = {.sival_int = 55};
  sigqueue(getpid(), SIGRTMIN + 1, v);
  v.sival_int = 56;
  sigqueue(getpid(), SIGRTMIN + 1, v);
  for (int i = 0; i < 2; i++) {
    int s = sigwaitinfo(&m, &si);
    printf("%d value %d code %d own %d\n", s - SIGRTMIN, si.si_value.sival_int, si.si_code, si.si_pid == getpid());
  }
  struct timespec t = {0, 20000000};
  int r = sigtimedwait(&m, &si, &t);
  printf("timeout %d %s\n", r, strerrorname_np(errno));
  alarm_ms(30);
  int s;
  sigwait(&m, &s);
  printf("sigwait %d\n", s);
  pid_t p = fork();
  if (!p)
    _exit(3);
  sigwaitinfo(&m, &si);
  printf("child: %d code %d status %d pid %d\n", si.si_signo, si.si_code, si.si_status, si.si_pid == p);
  waitpid(p, NULL, 0);
  int fd = signalfd(-1, &m, SFD_CLOEXEC);
  kill(getpid(), SIGUSR1);
  alarm_ms(30);
  for (int i = 0; i < 2; i++) {
    struct signalfd_siginfo fi;
    long n = read(fd, &fi, sizeof fi);
    printf("signalfd %ld signo %u\n", n, fi.ssi_signo);
  }
  return done();
}
