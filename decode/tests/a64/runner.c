/* Executes single AArch64 instructions on given states; the other half of the oracle in main.rs.
 *
 * Standard input and output are streams of `struct record`. The instruction stands at CODE; control comes back through
 * CODE + 4, or through CODE + 8 when a branch there was taken. Data memory is the record's window at DATA. Everything is at fixed
 * addresses, so that the interpreter on the other side sees the same ones. */

#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CODE 0x20000000ul
#define STATE 0x28000000ul
#define DATA 0x30000000ul
#define WINDOW 1024

struct record {
    uint64_t x[31], sp;
    uint32_t word, nzcv, fpcr, fpsr;
    uint64_t tpidr;
    uint32_t taken, signal;
    uint8_t v[32][16];
    uint8_t memory[WINDOW];
};

/* Loads the state, executes, stores the state. The assembly knows the offsets in the record. The caller's registers lie one page further. */
void run(void);
__asm__(
    ".globl run\n"
    "run:\n"
    "  ldr x0, =0x28000000\n"
    "  add x9, x0, #0x1000\n"
    "  stp x19, x20, [x9]\n  stp x21, x22, [x9, #16]\n  stp x23, x24, [x9, #32]\n  stp x25, x26, [x9, #48]\n"
    "  stp x27, x28, [x9, #64]\n  stp x29, x30, [x9, #80]\n"
    "  mov x10, sp\n  mrs x11, tpidr_el0\n  stp x10, x11, [x9, #96]\n"
    "  stp d8, d9, [x9, #112]\n  stp d10, d11, [x9, #128]\n  stp d12, d13, [x9, #144]\n  stp d14, d15, [x9, #160]\n"
    "  ldr w10, [x0, #260]\n  ldr w11, [x0, #264]\n  ldr w12, [x0, #268]\n  ldr x13, [x0, #272]\n"
    "  msr nzcv, x10\n  msr fpcr, x11\n  msr fpsr, x12\n  msr tpidr_el0, x13\n"
    "  add x9, x0, #288\n"
    "  ldp q0, q1, [x9], #32\n  ldp q2, q3, [x9], #32\n  ldp q4, q5, [x9], #32\n  ldp q6, q7, [x9], #32\n"
    "  ldp q8, q9, [x9], #32\n  ldp q10, q11, [x9], #32\n  ldp q12, q13, [x9], #32\n  ldp q14, q15, [x9], #32\n"
    "  ldp q16, q17, [x9], #32\n  ldp q18, q19, [x9], #32\n  ldp q20, q21, [x9], #32\n  ldp q22, q23, [x9], #32\n"
    "  ldp q24, q25, [x9], #32\n  ldp q26, q27, [x9], #32\n  ldp q28, q29, [x9], #32\n  ldp q30, q31, [x9], #32\n"
    "  ldr x1, [x0, #248]\n  mov sp, x1\n"
    "  ldr x1, [x0, #8]\n"
    "  ldp x2, x3, [x0, #16]\n  ldp x4, x5, [x0, #32]\n  ldp x6, x7, [x0, #48]\n  ldp x8, x9, [x0, #64]\n"
    "  ldp x10, x11, [x0, #80]\n  ldp x12, x13, [x0, #96]\n  ldp x14, x15, [x0, #112]\n  ldp x16, x17, [x0, #128]\n"
    "  ldp x18, x19, [x0, #144]\n  ldp x20, x21, [x0, #160]\n  ldp x22, x23, [x0, #176]\n  ldp x24, x25, [x0, #192]\n"
    "  ldp x26, x27, [x0, #208]\n  ldp x28, x29, [x0, #224]\n  ldr x30, [x0, #240]\n"
    "  ldr x0, [x0]\n"
    "  b enter_code\n"
    "  .ltorg\n"
    ".globl come_back\n"
    /* x0 is in tpidr_el0, x1 in the record, whose address is in x0. */
    "come_back:\n"
    "  stp x2, x3, [x0, #16]\n  stp x4, x5, [x0, #32]\n  stp x6, x7, [x0, #48]\n  stp x8, x9, [x0, #64]\n"
    "  stp x10, x11, [x0, #80]\n  stp x12, x13, [x0, #96]\n  stp x14, x15, [x0, #112]\n  stp x16, x17, [x0, #128]\n"
    "  stp x18, x19, [x0, #144]\n  stp x20, x21, [x0, #160]\n  stp x22, x23, [x0, #176]\n  stp x24, x25, [x0, #192]\n"
    "  stp x26, x27, [x0, #208]\n  stp x28, x29, [x0, #224]\n  str x30, [x0, #240]\n"
    "  mrs x1, tpidr_el0\n  str x1, [x0]\n  mov x1, sp\n  str x1, [x0, #248]\n"
    "  mrs x10, nzcv\n  mrs x11, fpcr\n  mrs x12, fpsr\n"
    "  str w10, [x0, #260]\n  str w11, [x0, #264]\n  str w12, [x0, #268]\n"
    "  add x9, x0, #288\n"
    "  stp q0, q1, [x9], #32\n  stp q2, q3, [x9], #32\n  stp q4, q5, [x9], #32\n  stp q6, q7, [x9], #32\n"
    "  stp q8, q9, [x9], #32\n  stp q10, q11, [x9], #32\n  stp q12, q13, [x9], #32\n  stp q14, q15, [x9], #32\n"
    "  stp q16, q17, [x9], #32\n  stp q18, q19, [x9], #32\n  stp q20, q21, [x9], #32\n  stp q22, q23, [x9], #32\n"
    "  stp q24, q25, [x9], #32\n  stp q26, q27, [x9], #32\n  stp q28, q29, [x9], #32\n  stp q30, q31, [x9], #32\n"
    ".globl restore\n"
    "restore:\n"
    "  ldr x0, =0x28000000\n"
    "  add x9, x0, #0x1000\n"
    "  msr fpcr, xzr\n"
    "  ldp x19, x20, [x9]\n  ldp x21, x22, [x9, #16]\n  ldp x23, x24, [x9, #32]\n  ldp x25, x26, [x9, #48]\n"
    "  ldp x27, x28, [x9, #64]\n  ldp x29, x30, [x9, #80]\n"
    "  ldp x10, x11, [x9, #96]\n  mov sp, x10\n  msr tpidr_el0, x11\n"
    "  ldp d8, d9, [x9, #112]\n  ldp d10, d11, [x9, #128]\n  ldp d12, d13, [x9, #144]\n  ldp d14, d15, [x9, #160]\n"
    "  ret\n"
    "  .ltorg\n"
    /* The code is reached by a register that the word in front of it restores. */
    ".globl enter_code\n"
    "enter_code:\n"
    "  msr tpidr_el0, x30\n"
    "  ldr x30, =0x1ffffffc\n"
    "  br x30\n"
    "  .ltorg\n");

extern char come_back[], restore[];

static void handler(int number, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    struct record *r = (struct record *)STATE;
    (void)info;
    r->signal = number;
    c->uc_mcontext.pc = (uint64_t)restore;
}

int main(void) {
    struct record *r = mmap((void *)STATE, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uint32_t *code = mmap((void *)(CODE - 0x1000), 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uint8_t *data = mmap((void *)(DATA - 0x10000), 0x20000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if ((uintptr_t)r != STATE || (uintptr_t)code != CODE - 0x1000 || data == MAP_FAILED) return 2;
    data += 0x10000;
    code += 0x400;
    code[-1] = 0xd53bd05e; /* mrs x30, tpidr_el0 */
    /* x0 goes to tpidr_el0, x1 into the record; then the way that control took, and back. */
    for (uint32_t taken = 0; taken < 2; taken++) {
        uint32_t *q = code + 0x20 * (taken + 1);
        q[0] = 0xd51bd040;                   /* msr tpidr_el0, x0 */
        q[1] = 0xd2a50000;                   /* mov x0, STATE */
        q[2] = 0xf9000401;                   /* str x1, [x0, #8] */
        q[3] = 0x52800001 | taken << 5;      /* mov w1, taken */
        q[4] = 0xb9011801;                   /* str w1, [x0, #280] */
        q[5] = 0x58000061;                   /* ldr x1, q + 8 */
        q[6] = 0xd61f0020;                   /* br x1 */
        *(uint64_t *)(q + 8) = (uint64_t)come_back;
        code[1 + taken] = 0x14000000 | (0x20 * (taken + 1) - 1 - taken);
    }
    static uint8_t stack[65536];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int numbers[] = {SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGFPE};
    for (int i = 0; i < 5; i++) sigaction(numbers[i], &action, 0);
    while (fread(r, sizeof *r, 1, stdin) == 1) {
        r->signal = 0;
        memcpy(data, r->memory, WINDOW);
        code[0] = r->word;
        __builtin___clear_cache((char *)code, (char *)(code + 1));
        run();
        memcpy(r->memory, data, WINDOW);
        fwrite(r, sizeof *r, 1, stdout);
    }
    return 0;
}
