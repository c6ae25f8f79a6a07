/* Three-dimensional seven-point stencil (heat equation). */
#include "bench.h"

enum { N = 32 };
static double a[N][N][N], b[N][N][N];

__attribute__((noinline)) static void sweep(double (*restrict x)[N][N], double (*restrict y)[N][N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            for (int k = 1; k < N - 1; k++)
                y[i][j][k] = 0.125 * (x[i + 1][j][k] - 2.0 * x[i][j][k] + x[i - 1][j][k]) +
                             0.125 * (x[i][j + 1][k] - 2.0 * x[i][j][k] + x[i][j - 1][k]) +
                             0.125 * (x[i][j][k + 1] - 2.0 * x[i][j][k] + x[i][j][k - 1]) + x[i][j][k];
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++)
                a[i][j][k] = b[i][j][k] = (i + j + (N - k)) * 10.0 / N;
    for (unsigned long u = 0; u < units * 150; bench_tick(++u, 150)) {
        sweep(a, b);
        sweep(b, a);
    }
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++)
                sum = mix_f64(sum, a[i][j][k]);
    return bench_done("heat3d", sum);
}
