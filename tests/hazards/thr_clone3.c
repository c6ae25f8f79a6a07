// hazard: clone3 with a stack, TLS, pidfd and exit signal; sizes and flags that the kernel refuses.
#include "hazard.h"
#include <linux/sched.h>
#include <linux/futex.h>
#include <poll.h>
volatile int c3_value;
static volatile int word;
static char stack[65536] __attribute__((aligned(16)));
static long clone3_thread(struct clone_args *a, size_t n) {
  long r;
  asm volatile("syscall\n test %%rax, %%rax\n jnz 1f\n mov %%fs:0, %%rax\n mov (%%rax), %%eax\n mov %%eax, c3_value(%%rip)\n"
               "mov %%rsp, %%rdi\n mov $60, %%eax\n xor %%edi, %%edi\n syscall\n1:"
               : "=a"(r) : "a"(SYS_clone3), "D"(a), "S"(n) : "rcx", "r11", "memory", "cc");
  return r;
}
int main(void) {
  for (int i = 0; i < 30; i++) {
    void *tls[16] = {0};
    int marker = 1000 + i;
    tls[0] = &marker;
    word = 1;
    struct clone_args a = {0};
    a.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_CHILD_CLEARTID;
    a.stack = (uintptr_t)stack;
    a.stack_size = sizeof stack;
    a.tls = (uintptr_t)tls;
    a.child_tid = (uintptr_t)&word;
    CHECK(clone3_thread(&a, sizeof a) > 0);
    while (word)
      syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0);
    EQUAL(c3_value, marker);
  }
  int pidfd = -1;
  struct clone_args a = {0};
  a.flags = CLONE_PIDFD;
  a.pidfd = (uintptr_t)&pidfd;
  a.exit_signal = SIGCHLD;
  long p = syscall(SYS_clone3, &a, sizeof a);
  if (!p)
    _exit(21);
  struct pollfd f = {pidfd, POLLIN};
  poll(&f, 1, 5000);
  printf("pidfd ready %d, %s\n", f.revents & POLLIN, ending(p));
  long result = syscall(SYS_clone3, &a, 8); // before errno is looked at
  printf("%ld %s\n", result, strerrorname_np(errno));
  a.flags = CLONE_THREAD;
  result = syscall(SYS_clone3, &a, sizeof a);
  printf("%ld %s\n", result, strerrorname_np(errno));
  return done();
}
