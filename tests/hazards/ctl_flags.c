// hazard: the flags live across every kind of control transfer: ret, jmp *reg, jmp *mem, call *mem, jumps, syscalls.
// hazard: random values of CF PF AF ZF SF OF, many rounds so that every tier and linked exits are met.
#include "hazard.h"
#define MASK 0x8d5
long fl_ret(void), fl_ret16(void), fl_jmp(void);
asm(".globl fl_ret\nfl_ret: ret\n.globl fl_ret16\nfl_ret16: ret $16\n .globl fl_jmp\nfl_jmp: jmp *fl_cell(%rip)\n"
    "fl_ret_target: ret\n .data\n .globl fl_cell\nfl_cell: .quad fl_ret_target\n.globl fl_table\nfl_table: .quad fl_ret, fl_jmp\n .text");
#define TRY(name, body)                                                                              \
  do {                                                                                               \
    long out;                                                                                        \
    void *reg;                                                                                       \
    asm volatile("sub $256, %%rsp\n push %2\n popfq\n" body "\n pushfq\n pop %0\n add $256, %%rsp"   \
                 : "=&r"(out), "=&c"(reg) : "r"(in) : "memory", "cc", "rax", "rdx", "rsi", "r11");                 \
    if ((out ^ in) & MASK) {                                                                         \
      hz_failures++;                                                                                 \
      printf("%s: flags %lx became %lx\n", name, in & MASK, out & MASK);                             \
    }                                                                                                \
  } while (0)
int main(void) {
  uint64_t s = 12345;
  for (int i = 0; i < 20000 && hz_failures < 20; i++) {
    long in = (long)(rnd(&s) & MASK) | 0x202;
    TRY("call ret", "call fl_ret");
    TRY("call jmp *mem ret", "call fl_jmp");
    TRY("call *mem", "call *fl_table(%%rip)");
    TRY("jmp *reg", "lea 1f(%%rip), %%rcx\n jmp *%%rcx\n 1:");
    TRY("jmp *mem", "lea 1f(%%rip), %%rcx\n mov %%rcx, -8(%%rsp)\n jmp *-8(%%rsp)\n 1:");
    TRY("call *reg", "lea fl_ret(%%rip), %%rcx\n call *%%rcx");
    TRY("call *table", "mov $1, %%ecx\n lea fl_table(%%rip), %%rdx\n call *(%%rdx,%%rcx,8)");
    TRY("ret imm", "push %%rcx\n push %%rcx\n call fl_ret16");
    TRY("push ret", "lea 1f(%%rip), %%rcx\n push %%rcx\n ret\n 1:");
    TRY("jmp", "jmp 1f\n nop\n 1:");
    TRY("jcc", "jc 1f\n nop\n 1: jz 2f\n nop\n 2: jo 3f\n nop\n 3: js 4f\n nop\n 4: jp 5f\n nop\n 5:");
    TRY("loop", "mov $3, %%ecx\n 1: loop 1b");
    TRY("jrcxz", "xor %%ecx, %%ecx\n push %2\n popfq\n jrcxz 1f\n nop\n 1:");
    TRY("syscall", "mov $39, %%eax\n syscall\n push %%r11\n pop %%rdx");
    TRY("alternating targets", "lea 1f(%%rip), %%rcx\n lea 2f(%%rip), %%rdx\n cmovc %%rdx, %%rcx\n jmp *%%rcx\n 1: nop\n nop\n 2:");
  }
  return done();
}
