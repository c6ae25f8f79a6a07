/* setjmp and longjmp as exceptions: every raise leaves several frames at once, so
 * returns no longer match calls. */
#include "bench.h"
#include <setjmp.h>

static jmp_buf *handler;

__attribute__((noinline)) static uint64_t walk(uint64_t x, int depth)
{
    if (depth == 0) {
        if (x % 3 == 0)
            longjmp(*handler, (int)(x % 1000) + 1);
        return x * 3 + 1;
    }
    uint64_t y = walk(x + (uint64_t)depth, depth - 1);
    __asm__ volatile("" : "+r"(y));
    return y + 1;
}

__attribute__((noinline)) static uint64_t attempt(uint64_t x, int depth)
{
    jmp_buf here, *outer = handler;
    handler = &here;
    int code = setjmp(here);
    uint64_t result = code == 0 ? walk(x, depth) : (uint64_t)code * 7;
    handler = outer;
    return result;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1))
        for (int i = 0; i < 60000; i++)
            sum = mix(sum, attempt(sum >> 8, 4 + (i & 7)));
    return bench_done("longjmp", sum);
}
