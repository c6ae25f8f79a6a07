// hazard: syscall leaves rcx = next instruction, r11 = flags and everything else untouched.
#include "hazard.h"
struct {
  long rcx, r11, flags, sum;
} sc_out;
extern char sc_next[];
void sc_run(long flags, long number);
asm(".globl sc_run\nsc_run: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "push %rdi\n mov %rsi, %rax\n mov $0x111, %ebx; mov $0x222, %edx; mov $0x333, %esi; mov $0x444, %edi; mov $0x555, %ebp; mov $0x666, %r8d; mov $0x777, %r9d\n"
    "mov $0x888, %r10d; mov $0x999, %r12d; mov $0xaaa, %r13d; mov $0xbbb, %r14d; mov $0xccc, %r15d\n"
    "popfq\n syscall\n.globl sc_next\nsc_next: pushfq\n popq sc_out+16(%rip)\n mov %rcx, sc_out(%rip)\n mov %r11, sc_out+8(%rip)\n"
    "add %rbx, %rdx; add %rdx, %rsi; add %rsi, %rdi; add %rdi, %rbp; add %rbp, %r8; add %r8, %r9; add %r9, %r10; add %r10, %r12; add %r12, %r13; add %r13, %r14; add %r14, %r15\n"
    "mov %r15, sc_out+24(%rip)\n pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n cld\n ret");
int main(void) {
  uint64_t s = 5;
  static const int numbers[] = {SYS_getpid, SYS_getppid, SYS_sched_yield, 9999, SYS_gettid, SYS_getuid};
  for (int i = 0; i < 6000 && hz_failures < 10; i++) {
    long fl = (long)(rnd(&s) & 0x8d5) | 0x202;
    sc_run(fl, numbers[i % 6]);
    EQUAL(sc_out.rcx, (long)sc_next);
    EQUAL(sc_out.flags & 0xfd5, fl & 0xfd5);
    EQUAL(sc_out.r11 & 0xfd5, fl & 0xfd5);
    EQUAL(sc_out.sum, 0x111 * 78);
  }
  return done();
}
