// hazard: AArch64: clone by hand, whose arguments have another order: stack, TLS register, ids of parent and child, futex at the end.
// machines: aarch64
#include "hazard.h"
#include <linux/futex.h>
static char stack[65536] __attribute__((aligned(16)));
static volatile int child_tid, parent_tid = 0, seen_tid;
static volatile uint64_t seen_tls, seen_sp;

__attribute__((used)) static void body(void) {
  uint64_t tls, sp;
  asm volatile("mrs %0, tpidr_el0\n mov %1, sp" : "=r"(tls), "=r"(sp));
  seen_tls = tls;
  seen_sp = sp;
  register long x8 asm("x8") = 178, x0 asm("x0");
  asm volatile("svc #0" : "=r"(x0) : "r"(x8) : "memory");
  seen_tid = x0;
}

static long start(unsigned long flags, void *top, void *tls) {
  register long x8 asm("x8") = 220;
  register long x0 asm("x0") = flags;
  register void *x1 asm("x1") = top;
  register void *x2 asm("x2") = (void *)&parent_tid;
  register void *x3 asm("x3") = tls;
  register void *x4 asm("x4") = (void *)&child_tid;
  asm volatile("svc #0\n cbnz x0, 1f\n bl body\n mov x0, #0\n mov x8, #93\n svc #0\n 1:"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
               : "memory", "x30", "x5", "x6", "x7", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "cc");
  return x0;
}

int main(void) {
  for (int k = 0; k < 50; k++) {
    child_tid = -1;
    long tid = start(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                         CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                     stack + sizeof stack, (void *)0x1230);
    CHECK(tid > 0);
    for (int t; (t = child_tid) != 0;)
      syscall(SYS_futex, &child_tid, FUTEX_WAIT, t, NULL);
    EQUAL(seen_tid, tid);
    EQUAL(parent_tid, tid);
    EQUAL(seen_tls, 0x1230);
    CHECK(seen_sp > (uint64_t)stack && seen_sp <= (uint64_t)stack + sizeof stack);
  }
  /* A process of its own, on a stack of its own. */
  long pid = start(SIGCHLD, stack + sizeof stack, NULL);
  CHECK(pid > 0);
  CHECK(strcmp(ending(pid), "exit 0") == 0);
  return done();
}
