// hazard: AArch64: handlers see and change every register at a fault: x, sp, pc, flags, vectors, FPCR and FPSR; esr and fault address.
// machines: aarch64
#include "hazard.h"
#include <asm/sigcontext.h>
static volatile int faults;
static void *expected_address;
static volatile int expected_code;

static struct fpsimd_context *vectors(mcontext_t *m) {
  struct _aarch64_ctx *c = (void *)m->__reserved;
  while (c->magic && c->magic != FPSIMD_MAGIC)
    c = (void *)((char *)c + c->size);
  return c->magic ? (void *)c : NULL;
}

static void handler(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  mcontext_t *m = &uc->uc_mcontext;
  struct fpsimd_context *f = vectors(m);
  faults++;
  CHECK(f != NULL);
  EQUAL(f->head.size, sizeof *f);
  EQUAL(i->si_signo, s);
  /* qemu calls it an operand. */
  CHECK(i->si_code == expected_code || s == SIGILL && i->si_code == ILL_ILLOPN);
  CHECK(i->si_addr == (s == SIGILL ? (void *)m->pc : expected_address));
  if (s == SIGSEGV)
    CHECK((void *)m->fault_address == expected_address);
  EQUAL(m->pstate >> 28, 6); /* Z and C */
  for (int r = 9; r < 16; r++)
    EQUAL(m->regs[r], 0x1000 + r);
  EQUAL((uint64_t)f->vregs[7], 0x0707070707070707ull);
  EQUAL((uint64_t)(f->vregs[31] >> 64), 0x3131313131313131ull);
  for (int r = 9; r < 16; r++)
    m->regs[r] = ~m->regs[r];
  f->vregs[7] = (__uint128_t)77 << 64 | 7;
  f->vregs[31] = ~f->vregs[31];
  f->fpcr = 1 << 22; /* towards plus infinity */
  f->fpsr = 0x10;    /* inexact */
  m->pstate = (m->pstate & ~0xf0000000ull) | 9ull << 28; /* N and V */
  m->pc += 4;
}

#define TRY(instruction, number, address)                                                                        \
  do {                                                                                                           \
    uint64_t r[7], flags, fpcr, fpsr, v7[2], v31[2];                                                             \
    expected_address = (void *)(address);                                                                        \
    expected_code = number;                                                                                      \
    asm volatile("mov x16, %[at]\n mov x9, #0x1009\n mov x10, #0x100a\n mov x11, #0x100b\n mov x12, #0x100c\n"   \
                 "mov x13, #0x100d\n mov x14, #0x100e\n mov x15, #0x100f\n movi v7.16b, #0x07\n movi v31.16b, #0x31\n" \
                 "msr fpcr, xzr\n msr fpsr, xzr\n cmp x9, x9\n"                                                  \
                 instruction "\n"                                                                                \
                 "mrs x17, nzcv\n stp x9, x10, [%[r]]\n stp x11, x12, [%[r], #16]\n stp x13, x14, [%[r], #32]\n" \
                 "str x15, [%[r], #48]\n str q7, [%[v7]]\n str q31, [%[v31]]\n str x17, %[flags]\n"              \
                 "mrs x17, fpcr\n str x17, %[fpcr]\n mrs x17, fpsr\n str x17, %[fpsr]\n msr fpcr, xzr\n"         \
                 : [flags] "=m"(flags), [fpcr] "=m"(fpcr), [fpsr] "=m"(fpsr)                                     \
                 : [at] "r"(address), [r] "r"(r), [v7] "r"(v7), [v31] "r"(v31)                                   \
                 : "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "v7", "v31", "cc", "memory");   \
    for (int k = 0; k < 7; k++)                                                                                  \
      EQUAL(r[k], ~(0x1009ull + k));                                                                             \
    EQUAL(flags >> 28, 9);                                                                                       \
    EQUAL(fpcr, 1 << 22);                                                                                        \
    EQUAL(fpsr, 0x10);                                                                                           \
    EQUAL(v7[0], 7);                                                                                             \
    EQUAL(v7[1], 77);                                                                                            \
    EQUAL(v31[0], ~0x3131313131313131ull);                                                                       \
  } while (0)

int main(void) {
  on_signal(SIGILL, handler, SA_SIGINFO);
  on_signal(SIGSEGV, handler, SA_SIGINFO);
  char *forbidden = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int k = 0; k < 300; k++) {
    TRY("udf #0", ILL_ILLOPC, 0);
    TRY("ldr x17, [x16]", SEGV_MAPERR, 0x1238);
    TRY("ldp q1, q2, [x16]", SEGV_MAPERR, 0x1240);
    TRY("str x15, [x16]", SEGV_ACCERR, forbidden + 8);
    TRY("str q31, [x16]", SEGV_ACCERR, forbidden + 16);
  }
  EQUAL(faults, 1500);
  return done();
}
