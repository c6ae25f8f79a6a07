/* N queens: once with bit sets, once with arrays, by recursive search. */
#include "bench.h"

__attribute__((noinline)) static unsigned bits(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == all)
        return 1;
    unsigned n = 0;
    for (uint32_t free_ = all & ~(columns | left | right); free_;) {
        uint32_t one = free_ & (0 - free_);
        free_ ^= one;
        n += bits(all, columns | one, (left | one) << 1, (right | one) >> 1);
    }
    return n;
}

static int queen[16];

__attribute__((noinline)) static int safe(int row, int column)
{
    for (int r = 0; r < row; r++) {
        int gap = queen[r] - column;
        if (gap == 0 || gap == row - r || gap == r - row)
            return 0;
    }
    return 1;
}

__attribute__((noinline)) static unsigned arrays(int n, int row)
{
    if (row == n)
        return 1;
    unsigned found = 0;
    for (int column = 0; column < n; column++)
        if (safe(row, column)) {
            queen[row] = column;
            found += arrays(n, row + 1);
        }
    return found;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        sum = mix(sum, bits((1u << (9 + (sum & 1))) - 1, 0, 0, 0));
        sum = mix(sum, arrays(8, 0));
    }
    return bench_done("nqueens", sum);
}
