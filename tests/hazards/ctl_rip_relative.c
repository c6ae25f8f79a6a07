// hazard: every form of rip-relative operand: with immediates, 67h prefix, lea, cmpxchg, SSE, VEX, EVEX, push and pop.
// flags: -no-pie
#include "hazard.h"
asm(".data\n .align 64\n rr_q: .quad 0x1122334455667788\n rr_z: .quad 5\n rr_v: .float 1, 2, 3, 4\n .skip 64\n .globl rr_q, rr_z, rr_v\n .text");
extern volatile uint64_t rr_q, rr_z;
#define GET(want, body)                                                                                    \
  do {                                                                                                     \
    long out;                                                                                              \
    asm volatile("sub $256, %%rsp\n" body "\n add $256, %%rsp" : "=a"(out) : : "rbx", "rcx", "rdx", "xmm0", "xmm1", "memory", "cc"); \
    EQUAL(out, want);                                                                                      \
  } while (0)
int main(void) {
  int avx512 = __builtin_cpu_supports("avx512f");
  for (int i = 0; i < 1000 && hz_failures < 10; i++) {
    rr_q = 0x1122334455667788;
    rr_z = 5;
    GET(0x1122334455667788, "mov rr_q(%%rip), %%rax");
    GET(0x88, "movzbl rr_q(%%rip), %%eax");
    GET(0x11, "movzbl rr_q+7(%%rip), %%eax");
    GET(0, "movb $0x99, rr_q(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_q, 0x1122334455667799);
    GET(0, "movq $0x12345678, rr_q(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_q, 0x12345678);
    GET(0, "movw $0x4321, rr_q(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_q, 0x12344321);
    GET(1, "xor %%eax, %%eax\n cmpl $0x12344321, rr_q(%%rip)\n sete %%al");
    GET(1, "xor %%eax, %%eax\n testb $1, rr_q(%%rip)\n setnz %%al");
    GET(0x12344321 * 3, "imul $3, rr_q(%%rip), %%eax");
    GET(0x12344321L * 3000, "imul $3000, rr_q(%%rip), %%rax");
    GET(0, "shlq $4, rr_q(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_q, 0x123443210);
    GET(0, "rolb $4, rr_q(%%rip)\n shldq $8, %%rax, rr_q(%%rip)\n shrq $8, rr_q(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_q, 0x123443201);
    GET(5, "mov $5, %%eax\n mov $77, %%ecx\n lock cmpxchg %%rcx, rr_z(%%rip)");
    EQUAL(rr_z, 77);
    GET(77, "mov $3, %%eax\n lock xadd %%rax, rr_z(%%rip)");
    EQUAL(rr_z, 80);
    GET(80, "push rr_z(%%rip)\n pop %%rax");
    GET(9, "push $9\n pop rr_z(%%rip)\n mov rr_z(%%rip), %%rax");
    GET(9, "mov rr_z(%%eip), %%rax");
    GET(0, "lea rr_q(%%rip), %%rax\n lea rr_z-8(%%rip), %%rcx\n sub %%rcx, %%rax");
    GET(0x40400000, "movss rr_v+8(%%rip), %%xmm0\n movd %%xmm0, %%eax");
    GET(0x40800000, "pshufd $0x1b, rr_v(%%rip), %%xmm0\n movd %%xmm0, %%eax");
    GET(0x40800000, "vpshufd $0x1b, rr_v(%%rip), %%xmm0\n vmovd %%xmm0, %%eax");
    GET(0x40800000, "vpermilps $3, rr_v(%%rip), %%xmm1\n vmovd %%xmm1, %%eax");
    GET(0x3f800000, "pinsrd $0, rr_v(%%rip), %%xmm0\n movd %%xmm0, %%eax");
    GET(1, "xor %%eax, %%eax\n bt $3, rr_z(%%rip)\n setc %%al");
    GET(0, "btsl $5, rr_z(%%rip)\n xor %%eax, %%eax");
    EQUAL(rr_z, 41);
    GET(41, "xor %%eax, %%eax\n cmovz rr_z(%%rip), %%rax");
    GET(42, "incl rr_z(%%rip)\n mov rr_z(%%rip), %%eax");
    GET(-42, "negq rr_z(%%rip)\n mov rr_z(%%rip), %%rax");
    GET(-6, "mov $7, %%ecx\n mov rr_z(%%rip), %%rax\n cqto\n idivq 1f(%%rip)\n jmp 2f\n 1: .quad 7\n 2:");
    if (avx512)
      GET(0x40000000, "vbroadcastss rr_v+4(%%rip), %%xmm16\n vmovd %%xmm16, %%eax");
  }
  return done();
}
