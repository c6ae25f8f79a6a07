/* The small register machine that interp_goto.c and interp_switch.c run: the same
 * bytecode through two ways of dispatch. */
#ifndef VM_H
#define VM_H

#include "bench.h"

enum op { OP_LOADI, OP_MOVE, OP_ADD, OP_SUB, OP_MUL, OP_XOR, OP_SHR, OP_AND, OP_LOAD, OP_STORE, OP_JLT, OP_JEQ, OP_JMP, OP_CALL, OP_RET, OP_HALT, OP_COUNT };

struct insn {
    uint8_t op, a, b, c;
    int32_t imm;
};

#define VM_MEMORY 4096

struct vm {
    uint64_t reg[16];
    uint64_t memory[VM_MEMORY];
    uint32_t stack[64];
};

/* Sieve, then a mixing loop with a call in it; r0 is the seed and the result. */
static const struct insn vm_program[] = {
    /* 0 */ {OP_LOADI, 1, 0, 0, 0},        /* i = 0 */
    /* 1 */ {OP_LOADI, 2, 0, 0, VM_MEMORY},
    /* 2 */ {OP_LOADI, 3, 0, 0, 1},
    /* 3 */ {OP_STORE, 3, 1, 0, 0},        /* memory[i] = 1 */
    /* 4 */ {OP_ADD, 1, 1, 3, 0},
    /* 5 */ {OP_JLT, 0, 1, 2, 3},
    /* 6 */ {OP_LOADI, 1, 0, 0, 2},        /* i = 2 */
    /* 7 */ {OP_LOADI, 7, 0, 0, 0},        /* primes = 0 */
    /* 8 */ {OP_LOADI, 8, 0, 0, 0},        /* zero */
    /* 9 */ {OP_LOAD, 4, 1, 0, 0},
    /* 10 */ {OP_JEQ, 0, 4, 8, 17},
    /* 11 */ {OP_ADD, 7, 7, 3, 0},
    /* 12 */ {OP_ADD, 5, 1, 1, 0},         /* j = 2 i */
    /* 13 */ {OP_JLT, 0, 5, 2, 15},
    /* 14 */ {OP_JMP, 0, 0, 0, 17},
    /* 15 */ {OP_STORE, 8, 5, 0, 0},
    /* 16 */ {OP_JMP, 0, 0, 0, 25},        /* j += i, back to 13 */
    /* 17 */ {OP_ADD, 1, 1, 3, 0},
    /* 18 */ {OP_JLT, 0, 1, 2, 9},
    /* 19 */ {OP_LOADI, 1, 0, 0, 0},
    /* 20 */ {OP_CALL, 0, 0, 0, 27},
    /* 21 */ {OP_ADD, 1, 1, 3, 0},
    /* 22 */ {OP_JLT, 0, 1, 2, 20},
    /* 23 */ {OP_ADD, 0, 0, 7, 0},
    /* 24 */ {OP_HALT, 0, 0, 0, 0},
    /* 25 */ {OP_ADD, 5, 5, 1, 0},
    /* 26 */ {OP_JMP, 0, 0, 0, 13},
    /* 27 */ {OP_LOAD, 4, 1, 0, 0},        /* mix: r0 = (r0 ^ memory[i]) * 0x2f0b4c47 + (r0 >> 13) */
    /* 28 */ {OP_XOR, 6, 0, 4, 0},
    /* 29 */ {OP_LOADI, 9, 0, 0, 0x2f0b4c47},
    /* 30 */ {OP_MUL, 6, 6, 9, 0},
    /* 31 */ {OP_LOADI, 9, 0, 0, 13},
    /* 32 */ {OP_SHR, 10, 0, 9, 0},
    /* 33 */ {OP_ADD, 0, 6, 10, 0},
    /* 34 */ {OP_LOADI, 9, 0, 0, 1},
    /* 35 */ {OP_AND, 10, 0, 9, 0},
    /* 36 */ {OP_JEQ, 0, 10, 8, 38},
    /* 37 */ {OP_SUB, 0, 0, 1, 0},
    /* 38 */ {OP_MOVE, 11, 0, 0, 0},
    /* 39 */ {OP_RET, 0, 0, 0, 0},
};

#endif
