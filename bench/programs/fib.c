/* Recursive Fibonacci: nothing but direct calls and returns. */
#include "bench.h"

__attribute__((noinline)) static unsigned long fib(unsigned long n)
{
    /* Two real calls per level at every -O: no recursion is unrolled away. */
    if (n < 2)
        return n;
    unsigned long a = fib(n - 1);
    __asm__ volatile("" : "+r"(a));
    return a + fib(n - 2);
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 40);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1))
        sum = mix(sum, fib(25 + (sum & 1)));
    return bench_done("fib", sum);
}
