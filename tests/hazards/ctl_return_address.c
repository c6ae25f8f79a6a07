// hazard: return addresses on the stack are the program's own; changing them redirects the return.
#include "hazard.h"
extern char ra_next[], ra_f[], ra_f_end[], ra_g[];
asm(".globl ra_f\nra_f: mov (%rsp), %rax\n ret\n.globl ra_f_end\nra_f_end:\n"
    ".globl ra_g\nra_g: addq $2, (%rsp)\n ret\n" /* skips two bytes after the call */
    ".globl ra_h\nra_h: pop %rcx\n push %rcx\n jmp *%rcx\n"
    ".globl ra_t\nra_t: pop %rcx\n jmp *%rcx\n"
    ".globl ra_tail\nra_tail: jmp ra_f\n");
int main(void) {
  for (int i = 0; i < 5000; i++) {
    long r, s = 0;
    asm volatile("sub $128, %%rsp\n call ra_f\n.globl ra_next\nra_next: add $128, %%rsp" : "=a"(r) : : "rcx", "memory", "cc");
    if (r != (long)ra_next) {
      EQUAL(r, (long)ra_next);
      break;
    }
    asm volatile("sub $128, %%rsp\n xor %%eax, %%eax\n call ra_g\n jmp 1f\n inc %%eax\n 1: add $128, %%rsp" : "=a"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 1);
    asm volatile("sub $128, %%rsp\n mov %%rsp, %%rdx\n call ra_h\n pop %%rcx\n sub %%rsp, %%rdx\n add $128, %%rsp" : "=d"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 0);
    asm volatile("sub $128, %%rsp\n mov %%rsp, %%rdx\n call ra_t\n sub %%rsp, %%rdx\n add $128, %%rsp" : "=d"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 0);
    asm volatile("sub $128, %%rsp\n lea 1f(%%rip), %%rcx\n push %%rcx\n jmp ra_tail\n ud2\n 1: sub %%rcx, %%rax\n add $128, %%rsp" : "=a"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 0);
    /* call over data, as position-independent code of old */
    asm volatile("sub $128, %%rsp\n call 1f\n .long 0x12345678\n 1: pop %%rcx\n mov (%%rcx), %%eax\n add $128, %%rsp" : "=a"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 0x12345678);
    asm volatile("sub $128, %%rsp\n call . + 5\n 1: pop %%rax\n lea 1b(%%rip), %%rcx\n sub %%rcx, %%rax\n add $128, %%rsp" : "=a"(s) : : "rcx", "memory", "cc");
    EQUAL(s, 0);
  }
  return done();
}
