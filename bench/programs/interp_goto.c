/* A bytecode interpreter with computed goto: one indirect jump per operation. */
#include "vm.h"

static uint64_t run(struct vm *vm, uint64_t seed)
{
    static const void *const label[OP_COUNT] = {
        [OP_LOADI] = &&loadi, [OP_MOVE] = &&move, [OP_ADD] = &&add,     [OP_SUB] = &&sub,
        [OP_MUL] = &&mul,     [OP_XOR] = &&xor_,  [OP_SHR] = &&shr,     [OP_AND] = &&and_,
        [OP_LOAD] = &&load,   [OP_STORE] = &&store, [OP_JLT] = &&jlt,   [OP_JEQ] = &&jeq,
        [OP_JMP] = &&jmp,     [OP_CALL] = &&call, [OP_RET] = &&ret,     [OP_HALT] = &&halt,
    };
    const struct insn *pc = vm_program;
    uint64_t *r = vm->reg;
    uint32_t sp = 0;
    r[0] = seed;
#define NEXT goto *label[pc->op]
    NEXT;
loadi:
    r[pc->a] = (uint64_t)pc->imm;
    pc++;
    NEXT;
move:
    r[pc->a] = r[pc->b];
    pc++;
    NEXT;
add:
    r[pc->a] = r[pc->b] + r[pc->c];
    pc++;
    NEXT;
sub:
    r[pc->a] = r[pc->b] - r[pc->c];
    pc++;
    NEXT;
mul:
    r[pc->a] = r[pc->b] * r[pc->c];
    pc++;
    NEXT;
xor_:
    r[pc->a] = r[pc->b] ^ r[pc->c];
    pc++;
    NEXT;
shr:
    r[pc->a] = r[pc->b] >> (r[pc->c] & 63);
    pc++;
    NEXT;
and_:
    r[pc->a] = r[pc->b] & r[pc->c];
    pc++;
    NEXT;
load:
    r[pc->a] = vm->memory[r[pc->b] & (VM_MEMORY - 1)];
    pc++;
    NEXT;
store:
    vm->memory[r[pc->b] & (VM_MEMORY - 1)] = r[pc->a];
    pc++;
    NEXT;
jlt:
    pc = r[pc->b] < r[pc->c] ? vm_program + pc->imm : pc + 1;
    NEXT;
jeq:
    pc = r[pc->b] == r[pc->c] ? vm_program + pc->imm : pc + 1;
    NEXT;
jmp:
    pc = vm_program + pc->imm;
    NEXT;
call:
    vm->stack[sp++ & 63] = (uint32_t)(pc + 1 - vm_program);
    pc = vm_program + pc->imm;
    NEXT;
ret:
    pc = vm_program + vm->stack[--sp & 63];
    NEXT;
halt:
    return r[0];
}

int main(int argc, char **argv)
{
    static struct vm vm;
    unsigned long units = bench_units(argc, argv, 60);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 16; bench_tick(++u, 16))
        sum = mix(sum, run(&vm, sum));
    return bench_done("interp", sum);
}
