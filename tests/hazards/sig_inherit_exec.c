// hazard: ignored signals, the mask and pending signals pass through execve; handlers and the altstack do not.
// machines: x86-64 aarch64
#include "hazard.h"
static void handler(int s) {}
static char alt[65536];
int main(int argc, char **argv) {
  if (argc == 1) {
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    on_signal(SIGUSR2, handler, 0);
    on_signal(SIGSEGV, handler, SA_ONSTACK);
    stack_t st = {alt, 0, sizeof alt};
    sigaltstack(&st, NULL);
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGTERM);
    sigaddset(&m, SIGHUP);
    sigprocmask(SIG_BLOCK, &m, NULL);
    raise(SIGTERM);
    execl("/proc/self/exe", argv[0], "again", NULL);
    return 9;
  }
  for (int s = 1; s < 65; s++) {
    struct sigaction sa;
    if (sigaction(s, NULL, &sa))
      continue;
    if (sa.sa_handler != SIG_DFL)
      printf("%d: %s\n", s, sa.sa_handler == SIG_IGN ? "ignored" : "handled");
  }
  sigset_t m, p;
  sigprocmask(SIG_BLOCK, NULL, &m);
  sigpending(&p);
  for (int s = 1; s < 65; s++)
    if (sigismember(&m, s) == 1)
      printf("%d blocked, pending %d\n", s, sigismember(&p, s));
  stack_t st;
  sigaltstack(NULL, &st);
  printf("altstack %d\n", st.ss_flags);
  return done();
}
