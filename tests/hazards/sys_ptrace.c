// hazard: a program that traces its own child (a small debugger): syscalls and exit are seen, registers are the child's.
#include "hazard.h"
#include <sys/ptrace.h>
#include <sys/user.h>
int main(void) {
  pid_t p = fork();
  if (!p) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
      _exit(1);
    raise(SIGSTOP);
    raise(SIGUSR1);
    _exit(7);
  }
  int status;
  waitpid(p, &status, 0);
  printf("%#x\n", status);
  ptrace(PTRACE_CONT, p, 0, 0);
  waitpid(p, &status, 0);
  printf("%#x\n", status);
  struct user_regs_struct r;
  CHECK(ptrace(PTRACE_GETREGS, p, 0, &r) == 0);
  EQUAL(r.cs, 0x33);
  ptrace(PTRACE_CONT, p, 0, 0); /* without the signal */
  waitpid(p, &status, 0);
  printf("%#x\n", status);
  return done();
}
