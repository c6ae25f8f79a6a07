/* Gauss-Seidel in two dimensions: each element waits for its neighbour. */
#include "bench.h"

enum { N = 120 };
static double a[N][N];

__attribute__((noinline)) static void kernel(void)
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            a[i][j] = (a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1] + a[i][j - 1] + a[i][j] + a[i][j + 1] +
                       a[i + 1][j - 1] + a[i + 1][j] + a[i + 1][j + 1]) /
                      9.0;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = (i * (j + 2.0) + 2.0) / N;
    for (unsigned long u = 0; u < units * 80; bench_tick(++u, 80))
        kernel();
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum = mix_f64(sum, a[i][j]);
    return bench_done("seidel2d", sum);
}
