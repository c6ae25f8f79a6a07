// hazard: blocking, pending, sigsuspend, ppoll with a mask; a mask is per thread and survives fork.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
#include <poll.h>
static volatile int hits;
static void handler(int s) {
  sigset_t in;
  sigprocmask(SIG_SETMASK, NULL, &in);
  printf("handler %d, itself blocked %d\n", s, sigismember(&in, s));
  hits++;
}
int main(void) {
  sigset_t m, p, none;
  sigemptyset(&none);
  sigemptyset(&m);
  sigaddset(&m, SIGUSR1);
  sigaddset(&m, SIGUSR2);
  on_signal(SIGUSR1, handler, 0);
  on_signal(SIGUSR2, handler, 0);
  sigprocmask(SIG_BLOCK, &m, NULL);
  raise(SIGUSR1);
  kill(getpid(), SIGUSR2);
  raise(SIGUSR1);
  EQUAL(hits, 0);
  sigpending(&p);
  printf("pending %d %d %d\n", sigismember(&p, SIGUSR1), sigismember(&p, SIGUSR2), sigismember(&p, SIGTERM));
  fflush(stdout);
  pid_t c = fork();
  if (!c) {
    sigpending(&p);
    printf("child pending %d\n", sigismember(&p, SIGUSR1));
    sigprocmask(SIG_BLOCK, NULL, &p);
    printf("child mask %d %d\n", sigismember(&p, SIGUSR1), sigismember(&p, SIGTERM));
    exit(0);
  }
  waitpid(c, NULL, 0);
  sigset_t only2 = m;
  sigdelset(&only2, SIGUSR2);
  int r = sigsuspend(&only2);
  printf("sigsuspend %d %s hits %d\n", r, strerrorname_np(errno), hits);
  struct timespec t = {1, 0};
  r = ppoll(NULL, 0, &t, &none);
  printf("ppoll %d %s hits %d\n", r, strerrorname_np(errno), hits);
  sigprocmask(SIG_BLOCK, NULL, &p);
  printf("mask afterwards %d %d\n", sigismember(&p, SIGUSR1), sigismember(&p, SIGUSR2));
  raise(SIGUSR1);
  sigprocmask(SIG_UNBLOCK, &m, NULL);
  EQUAL(hits, 3);
  sigfillset(&m);
  sigprocmask(SIG_SETMASK, &m, NULL);
  sigprocmask(SIG_SETMASK, NULL, &p);
  printf("KILL %d STOP %d\n", sigismember(&p, SIGKILL), sigismember(&p, SIGSTOP));
  char line[256];
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "SigBlk", 6)) /* a runtime in the same process may keep the synchronous ones open */
      printf("SigBlk %lx\n", strtoul(line + 7, NULL, 16) | 1 << (SIGILL - 1) | 1 << (SIGTRAP - 1) | 1 << (SIGBUS - 1) | 1 << (SIGFPE - 1) | 1 << (SIGSEGV - 1));
    else if (!strncmp(line, "SigIgn", 6))
      fputs(line, stdout);
  return done();
}
