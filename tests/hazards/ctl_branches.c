// hazard: rare control transfers: ret imm, far jumps and returns, loop, loope, loopne, jrcxz, jecxz, enter, leave,
// hazard: call and jmp through memory based on rsp, push and pop of rsp, branches with 16-bit and useless prefixes.
// flags: -no-pie
#include "hazard.h"
#define RUN(name, want, body, ...)                                                                             \
  do {                                                                                                         \
    long out = 0;                                                                                              \
    asm volatile("mov %%rsp, %%r15\n sub $512, %%rsp\n xor %%eax, %%eax\n" body "\n mov %%r15, %%rsp"          \
                 : "=a"(out) : : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"); \
    if (out != (long)(want)) {                                                                                 \
      hz_failures++;                                                                                           \
      printf("%s: %#lx not %#lx\n", name, out, (long)(want));                                                  \
    }                                                                                                          \
  } while (0)
asm(".globl br_three\nbr_three: mov $3, %eax\n ret\n.globl br_ret24\nbr_ret24: mov $24, %eax\n ret $24\n"
    ".data\n br_cell: .quad br_three\n br_far: .long 0\n .word 0x33\n .text");
int main(void) {
  for (int i = 0; i < 2000 && hz_failures < 20; i++) {
    RUN("ret imm", 24, "mov %%rsp, %%rbx\n sub $24, %%rsp\n call br_ret24\n sub %%rsp, %%rbx\n add %%rbx, %%rax");
    RUN("call *8(%rsp)", 3, "lea br_three(%%rip), %%rcx\n mov %%rcx, 8(%%rsp)\n call *8(%%rsp)");
    RUN("call *(%rsp)", 3, "lea br_three(%%rip), %%rcx\n mov %%rcx, (%%rsp)\n call *(%%rsp)");
    RUN("jmp *(%rsp)", 5, "lea 1f(%%rip), %%rcx\n mov %%rcx, (%%rsp)\n jmp *(%%rsp)\n ud2\n 1: mov $5, %%eax");
    RUN("jmp *16(%rsp,%rcx,8)", 6, "lea 1f(%%rip), %%rbx\n mov $2, %%ecx\n mov %%rbx, 32(%%rsp)\n jmp *16(%%rsp,%%rcx,8)\n ud2\n 1: mov $6, %%eax");
    RUN("call *%rsp-relative after push", 3, "lea br_three(%%rip), %%rcx\n push %%rcx\n call *(%%rsp)\n add $8, %%rsp");
    RUN("push rsp", 0, "mov %%rsp, %%rcx\n push %%rsp\n pop %%rax\n sub %%rcx, %%rax");
    RUN("push (rsp)", 0x77, "movq $0x77, (%%rsp)\n pushq (%%rsp)\n pop %%rax");
    RUN("push 8(rsp)", 0x78, "movq $0x78, 8(%%rsp)\n pushq 8(%%rsp)\n pop %%rax");
    RUN("pop (rsp)", 0x79, "movq $0x55, 8(%%rsp)\n movq $0x79, (%%rsp)\n popq (%%rsp)\n mov (%%rsp), %%rax");
    RUN("pop 8(rsp)", 0x7a, "movq $0x7a, (%%rsp)\n popq 8(%%rsp)\n mov 8(%%rsp), %%rax");
    RUN("pop rsp", 0, "mov %%rsp, %%rcx\n lea 64(%%rsp), %%rbx\n mov %%rbx, (%%rsp)\n pop %%rsp\n mov %%rsp, %%rax\n sub %%rbx, %%rax");
    RUN("mov through rsp", 0x1234, "movq $0x1234, 24(%%rsp)\n mov %%rsp, %%rsp\n mov 24(%%rsp), %%rax");
    RUN("loop", 10, "mov $10, %%ecx\n 1: inc %%eax\n loop 1b");
    RUN("loope", 4, "mov $10, %%ecx\n 1: inc %%eax\n cmp $4, %%eax\n setne %%dl\n test $0, %%dl\n cmp $0, %%dh\n mov %%eax, %%ebx\n sub $4, %%ebx\n cmp $-3, %%ebx\n cmp $4, %%eax\n loopne 1b");
    RUN("loope equal", 3, "mov $3, %%ecx\n 1: inc %%eax\n cmp %%eax, %%eax\n loope 1b");
    RUN("loopne", 1, "mov $3, %%ecx\n 1: inc %%eax\n cmp %%eax, %%eax\n loopne 1b");
    RUN("loop with ecx", 5, "movabs $0x700000005, %%rcx\n 1: inc %%eax\n addr32 loop 1b\n");
    RUN("jrcxz", 2, "xor %%ecx, %%ecx\n jrcxz 1f\n mov $1, %%eax\n jmp 2f\n 1: mov $2, %%eax\n 2:");
    RUN("jrcxz not", 1, "mov $1, %%ecx\n jrcxz 1f\n mov $1, %%eax\n jmp 2f\n 1: mov $2, %%eax\n 2:");
    RUN("jecxz", 2, "movabs $0x100000000, %%rcx\n jecxz 1f\n mov $1, %%eax\n jmp 2f\n 1: mov $2, %%eax\n 2:");
    RUN("enter leave", 0, "mov %%rbp, %%rbx\n mov %%rsp, %%rcx\n enter $64, $0\n movq $9, -8(%%rbp)\n leave\n mov %%rsp, %%rax\n sub %%rcx, %%rax\n sub %%rbp, %%rbx\n add %%rbx, %%rax");
    RUN("enter nested", 0, "mov %%rbp, %%rbx\n mov %%rsp, %%rbp\n mov %%rsp, %%rcx\n enter $64, $3\n leave\n mov %%rsp, %%rax\n sub %%rcx, %%rax\n mov %%rbx, %%rbp");
    RUN("call memory with prefix", 3, ".byte 0x2e\n call *br_cell(%%rip)");
    RUN("notrack jmp", 8, "lea 1f(%%rip), %%rcx\n .byte 0x3e\n jmp *%%rcx\n ud2\n 1: mov $8, %%eax");
    RUN("bnd ret", 3, "lea 1f(%%rip), %%rcx\n push %%rcx\n mov $3, %%eax\n .byte 0xf2, 0xc3\n ud2\n 1:");
    RUN("rep ret", 4, "lea 1f(%%rip), %%rcx\n push %%rcx\n mov $4, %%eax\n .byte 0xf3, 0xc3\n ud2\n 1:");
    RUN("branch hints", 7, "cmp %%eax, %%eax\n .byte 0x3e\n je 1f\n ud2\n 1: .byte 0x2e\n jne 2f\n mov $7, %%eax\n 2:");
    RUN("far return", 11, "lea 1f(%%rip), %%rcx\n push $0x33\n push %%rcx\n lretq\n ud2\n 1: mov $11, %%eax");
    RUN("iretq", 12, "mov %%rsp, %%rbx\n push $0x2b\n push %%rbx\n pushfq\n push $0x33\n lea 1f(%%rip), %%rcx\n push %%rcx\n iretq\n ud2\n 1: mov $12, %%eax");
    RUN("far jump", 13, "lea 1f(%%rip), %%rcx\n mov %%ecx, br_far(%%rip)\n ljmp *br_far(%%rip)\n ud2\n 1: mov $13, %%eax");
    RUN("far call", 14, "lea 1f(%%rip), %%rcx\n mov %%ecx, br_far(%%rip)\n lcall *br_far(%%rip)\n add $1, %%eax\n jmp 2f\n 1: mov $13, %%eax\n lretl\n 2:");
    RUN("xlat", 0x42, "lea 1f(%%rip), %%rbx\n mov $2, %%eax\n xlat\n jmp 2f\n 1: .byte 0x40, 0x41, 0x42\n 2:");
    RUN("call next", 0, "1: call 2f\n 2: pop %%rax\n lea 2b(%%rip), %%rcx\n sub %%rcx, %%rax");
    RUN("long jcc chain", 21, "mov $20, %%eax\n cmp $20, %%eax\n jne 3f\n je 1f\n 3: ud2\n .skip 200, 0x90\n 1: inc %%eax");
    RUN("self loop", 0, "mov $1000, %%eax\n 1: dec %%eax\n jnz 1b");
  }
  return done();
}
