// hazard: clone by hand: a thread on its own stack without any library, CLONE_CHILD_CLEARTID, exit of one thread.
#include "hazard.h"
#include <linux/futex.h>
volatile int tid_word = 1, value, child_tid;
static char stack[65536] __attribute__((aligned(16)));
static long raw_clone(long flags, void *sp, void *parent, void *child, long tls) {
  long r;
  register long r10 asm("r10") = (long)child;
  register long r8 asm("r8") = tls;
  asm volatile("syscall\n test %%rax, %%rax\n jnz 1f\n"
               "movl $4242, value(%%rip)\n mov $186, %%eax\n syscall\n mov %%eax, child_tid(%%rip)\n mov $60, %%eax\n mov $7, %%edi\n syscall\n hlt\n1:"
               : "=a"(r) : "a"(SYS_clone), "D"(flags), "S"(sp), "d"(parent), "r"(r10), "r"(r8) : "rcx", "r11", "memory", "cc");
  return r;
}
int main(void) {
  for (int i = 0; i < 50; i++) {
    tid_word = 1;
    value = child_tid = 0;
    int parent_word = 0;
    long tid = raw_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                         stack + sizeof stack, &parent_word, (void *)&tid_word, 0);
    CHECK(tid > 0);
    EQUAL(parent_word, tid);
    while (tid_word)
      syscall(SYS_futex, &tid_word, FUTEX_WAIT, 1, NULL, NULL, 0);
    EQUAL(value, 4242);
    EQUAL(child_tid, tid);
  }
  /* clone without CLONE_VM is fork; with CLONE_VM | CLONE_VFORK the parent waits and sees the child's stores */
  value = 0;
  long p = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
  if (!p)
    _exit(11);
  printf("%s\n", ending(p));
  p = raw_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack, NULL, NULL, 0);
  EQUAL(value, 4242);
  printf("%s\n", ending(p));
  /* another exit signal */
  signal(SIGUSR1, SIG_IGN);
  p = syscall(SYS_clone, SIGUSR1, NULL, NULL, NULL, 0);
  if (!p)
    _exit(12);
  int status;
  CHECK(waitpid(p, &status, __WALL) == p);
  printf("%d\n", WEXITSTATUS(status));
  return done();
}
