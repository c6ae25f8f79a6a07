// hazard: all sixteen registers and the red zone survive every kind of control transfer.
#include "hazard.h"
struct regs {
  uint64_t r[16];
};
/* rg_run(in, out, kind): loads all registers but rsp from in, transfers control, stores them into out */
void rg_run(struct regs *in, struct regs *out, long kind);
asm(".bss\n rg_out: .skip 8\n rg_sp: .skip 8\n rg_cell: .skip 8\n rg_cont: .skip 8\n .text\n"
    ".globl rg_run\nrg_run:\n push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsi, rg_out(%rip)\n mov %rsp, rg_sp(%rip)\n"
    "lea rg_table(%rip), %rcx\n movslq (%rcx,%rdx,4), %rdx\n add %rcx, %rdx\n mov %rdx, rg_cell(%rip)\n"
    "sub $128, %rsp\n and $-16, %rsp\n"
    "mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi; mov 48(%rdi), %rbp; mov 64(%rdi), %r8\n"
    "mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
    "mov (%rdi), %rax; mov 40(%rdi), %rdi\n"
    "jmp *rg_cell(%rip)\n"
    "rg_k0: call rg_leaf\n jmp rg_save\n"
    "rg_k1: call *rg_leafp(%rip)\n jmp rg_save\n"
    "rg_k2: mov %rax, -128(%rsp)\n mov %rbx, -8(%rsp)\n jmp *rg_k2p(%rip)\n rg_k2b: cmp %rax, -128(%rsp)\n jne rg_bad\n cmp %rbx, -8(%rsp)\n jne rg_bad\n jmp rg_save\n"
    "rg_k3: push rg_savep(%rip)\n ret\n"
    "rg_k4: xchg %rax, rg_savep(%rip)\n jmp *%rax\n"
    "rg_k5: cmp %rax, %rbx\n je 1f\n jb 2f\n 1: nop\n 2: jmp rg_save\n"
    "rg_k6: call 1f\n ud2\n 1: add $8, %rsp\n jmp rg_save\n"
    "rg_k7: push %rax\n push %rbx\n lea rg_leaf(%rip), %rbx\n call *%rbx\n pop %rbx\n pop %rax\n jmp rg_save\n"
    "rg_leaf: ret\n rg_bad: ud2\n"
    "rg_save: xchg %rdi, rg_out(%rip)\n"
    "mov %rax, (%rdi); mov %rbx, 8(%rdi); mov %rcx, 16(%rdi); mov %rdx, 24(%rdi); mov %rsi, 32(%rdi); mov %rbp, 48(%rdi); mov %r8, 64(%rdi)\n"
    "mov %r9, 72(%rdi); mov %r10, 80(%rdi); mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi); mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
    "mov rg_out(%rip), %rax\n mov %rax, 40(%rdi)\n mov rg_sp(%rip), %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n"
    ".data\n .align 8\n rg_leafp: .quad rg_leaf\n rg_k2p: .quad rg_k2b\n .globl rg_savep\n rg_savep: .quad rg_save\n .text\n"
    ".align 4\n rg_table: .long rg_k0 - rg_table, rg_k1 - rg_table, rg_k2 - rg_table, rg_k3 - rg_table, rg_k4 - rg_table, rg_k5 - rg_table, rg_k6 - rg_table, rg_k7 - rg_table");
extern uint64_t rg_savep;
int main(void) {
  uint64_t s = 99;
  uint64_t save = rg_savep;
  for (int i = 0; i < 40000 && hz_failures < 10; i++) {
    struct regs in, out;
    for (int k = 0; k < 16; k++)
      in.r[k] = rnd(&s) * 0x9e3779b97f4a7c15ull;
    memset(&out, 0, sizeof out);
    int kind = i & 7;
    rg_run(&in, &out, kind);
    if (kind == 4) {
      /* rax went into the cell and came back as the jump target */
      EQUAL(rg_savep, in.r[0]);
      EQUAL(out.r[0], save);
      rg_savep = save;
      out.r[0] = in.r[0];
    }
    out.r[7] = in.r[7]; /* rsp */
    if (memcmp(&in, &out, sizeof in)) {
      hz_failures++;
      for (int k = 0; k < 16; k++)
        if (in.r[k] != out.r[k])
          printf("kind %d register %d: %#lx became %#lx\n", kind, k, in.r[k], out.r[k]);
    }
  }
  return done();
}
