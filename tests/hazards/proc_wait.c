// hazard: wait statuses, waitid, process groups, stopped and continued children, orphans, deep chains of fork.
// machines: x86-64 aarch64
#include "hazard.h"
static int chain(int depth) {
  if (!depth)
    return 1;
  pid_t p = fork();
  if (!p)
    _exit(chain(depth - 1) + 1);
  int status;
  waitpid(p, &status, 0);
  return WEXITSTATUS(status);
}
int main(void) {
  printf("chain %d\n", chain(30));
  fflush(stdout);
  pid_t p = fork();
  if (!p) {
    raise(SIGSTOP);
    sleep_ms(100); /* the parent looks at the continued state first */
    _exit(7);
  }
  siginfo_t si;
  memset(&si, 0, sizeof si);
  waitid(P_PID, p, &si, WSTOPPED);
  printf("stopped %d %d %d\n", si.si_code, si.si_status, si.si_pid == p);
  kill(p, SIGCONT);
  waitid(P_PID, p, &si, WCONTINUED);
  printf("continued %d %d\n", si.si_code, si.si_status);
  waitid(P_PID, p, &si, WEXITED | WNOWAIT);
  printf("exited %d %d\n", si.si_code, si.si_status);
  printf("%s\n", ending(p));
  p = fork();
  if (!p) {
    setpgid(0, 0);
    for (;;)
      asm volatile("");
  }
  setpgid(p, p);
  kill(-p, SIGKILL);
  printf("%s\n", ending(p));
  p = fork();
  if (!p) {
    for (int i = 0;; i++) {
      asm volatile("");
    }
  }
  sleep_ms(5);
  kill(p, SIGSTOP);
  int status;
  waitpid(p, &status, WUNTRACED);
  printf("spinner %#x\n", status);
  kill(p, SIGCONT);
  kill(p, SIGTERM);
  printf("%s\n", ending(p));
  printf("%d ", waitpid(-1, &status, 0));
  printf("%s\n", strerrorname_np(errno));
  signal(SIGCHLD, SIG_IGN);
  p = fork();
  if (!p)
    _exit(0);
  printf("%d ", waitpid(p, &status, 0));
  printf("%s\n", strerrorname_np(errno));
  return done();
}
