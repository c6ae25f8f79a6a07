// hazard: prctl: names, death signal, dumpable, subreaper, no-new-privs; what is set is what is read.
#include "hazard.h"
#include <sys/prctl.h>
int main(void) {
  char name[16];
  prctl(PR_GET_NAME, name);
  puts(name);
  prctl(PR_SET_NAME, "another name that is long");
  prctl(PR_GET_NAME, name);
  puts(name);
  FILE *f = fopen("/proc/self/comm", "r");
  char b[100];
  fgets(b, sizeof b, f);
  printf("%s", b);
  int sig;
  prctl(PR_SET_PDEATHSIG, SIGUSR1);
  prctl(PR_GET_PDEATHSIG, &sig);
  printf("%d %d %d %d %d\n", sig, prctl(PR_GET_DUMPABLE), prctl(PR_GET_SECCOMP), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
         prctl(PR_GET_TIMERSLACK));
  printf("%d\n", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  printf("%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  printf("%d %d\n", prctl(12345), errno);
  int tsc;
  prctl(PR_GET_TSC, &tsc);
  printf("%d\n", tsc);
  return done();
}
