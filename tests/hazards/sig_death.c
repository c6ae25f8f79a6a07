// hazard: death by each signal is what the parent sees in the wait status.
#include "hazard.h"
#include <sys/resource.h>
int main(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  int go[2];
  CHECK(pipe(go) == 0);
  for (int s = 1; s <= 64; s++) {
    if (s == 32 || s == 33)
      continue;
    fflush(stdout);
    pid_t p = fork();
    if (!p) {
      if (s & 1)
        raise(s);
      else
        kill(getpid(), s);
      if (s >= SIGCHLD && s <= SIGTTOU)
        (void)!read(go[0], &none, 1); /* until the parent has seen that it continued */
      _exit(77);
    }
    int status;
    if (s == SIGSTOP || s == SIGTSTP || s == SIGTTIN || s == SIGTTOU) {
      waitpid(p, &status, WUNTRACED);
      printf("%d: stopped %d by %d", s, WIFSTOPPED(status), WSTOPSIG(status));
      kill(p, SIGCONT);
      waitpid(p, &status, WCONTINUED);
      printf(" continued %d", WIFCONTINUED(status));
      (void)!write(go[1], "", 1);
      waitpid(p, &status, 0);
      printf(" then %#x\n", status);
      continue;
    }
    if (s == SIGCHLD || s == SIGCONT)
      (void)!write(go[1], "", 1);
    waitpid(p, &status, 0);
    printf("%d: %#x\n", s, status);
  }
  /* synchronous ones, without handler and with the signal blocked or ignored */
  for (int how = 0; how < 3; how++)
    for (int i = 0; i < 5; i++) {
      fflush(stdout);
      pid_t p = fork();
      if (!p) {
        static const int sig[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSEGV};
        sigset_t m;
        sigemptyset(&m);
        sigaddset(&m, sig[i]);
        if (how == 1)
          sigprocmask(SIG_BLOCK, &m, NULL);
        if (how == 2)
          signal(sig[i], SIG_IGN);
        switch (i) {
        case 0: *(volatile int *)8 = 1; break;
        case 1: asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" : : : "rax", "rcx", "rdx"); break;
        case 2: asm volatile("ud2"); break;
        case 3: asm volatile("int3"); break;
        case 4: asm volatile("hlt"); break;
        }
        _exit(78);
      }
      printf("%d %d: %s\n", how, i, ending(p));
    }
  return done();
}
