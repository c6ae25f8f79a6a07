/* The same interpreter with a switch in a loop: one shared indirect jump, with its
 * bounds check, that has to be predicted for every operation. */
#include "vm.h"

static uint64_t run(struct vm *vm, uint64_t seed)
{
    uint64_t *r = vm->reg;
    uint32_t pc = 0, sp = 0;
    r[0] = seed;
    for (;;) {
        const struct insn *i = &vm_program[pc++];
        switch (i->op) {
        case OP_LOADI: r[i->a] = (uint64_t)i->imm; break;
        case OP_MOVE: r[i->a] = r[i->b]; break;
        case OP_ADD: r[i->a] = r[i->b] + r[i->c]; break;
        case OP_SUB: r[i->a] = r[i->b] - r[i->c]; break;
        case OP_MUL: r[i->a] = r[i->b] * r[i->c]; break;
        case OP_XOR: r[i->a] = r[i->b] ^ r[i->c]; break;
        case OP_SHR: r[i->a] = r[i->b] >> (r[i->c] & 63); break;
        case OP_AND: r[i->a] = r[i->b] & r[i->c]; break;
        case OP_LOAD: r[i->a] = vm->memory[r[i->b] & (VM_MEMORY - 1)]; break;
        case OP_STORE: vm->memory[r[i->b] & (VM_MEMORY - 1)] = r[i->a]; break;
        case OP_JLT:
            if (r[i->b] < r[i->c])
                pc = (uint32_t)i->imm;
            break;
        case OP_JEQ:
            if (r[i->b] == r[i->c])
                pc = (uint32_t)i->imm;
            break;
        case OP_JMP: pc = (uint32_t)i->imm; break;
        case OP_CALL:
            vm->stack[sp++ & 63] = pc;
            pc = (uint32_t)i->imm;
            break;
        case OP_RET: pc = vm->stack[--sp & 63]; break;
        default: return r[0];
        }
    }
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
