// hazard: the signal masks that the kernel shows for the process are the program's own.
// tiers: interp
// machines: x86-64 aarch64
#include "hazard.h"
static void handler(int s) {}
static void show(void) {
  char line[256];
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) || !strncmp(line, "ShdPnd", 6) ||
        !strncmp(line, "Threads", 7))
      fputs(line, stdout);
  fclose(f);
}
int main(void) {
  show();
  signal(SIGUSR1, SIG_IGN);
  on_signal(SIGHUP, handler, 0);
  sigset_t m;
  sigemptyset(&m);
  sigaddset(&m, SIGUSR2);
  sigprocmask(SIG_BLOCK, &m, NULL);
  kill(getpid(), SIGUSR2);
  show();
  return done();
}
