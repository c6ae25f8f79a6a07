/* Two-dimensional five-point Jacobi stencil. */
#include "bench.h"

enum { N = 120 };
static double a[N][N], b[N][N];

__attribute__((noinline)) static void sweep(double (*restrict from)[N], double (*restrict to)[N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            to[i][j] = 0.2 * (from[i][j] + from[i][j - 1] + from[i][j + 1] + from[i + 1][j] + from[i - 1][j]);
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (i * (j + 2.0) + 2.0) / N;
            b[i][j] = (i * (j + 3.0) + 3.0) / N;
        }
    for (unsigned long u = 0; u < units * 400; bench_tick(++u, 400)) {
        sweep(a, b);
        sweep(b, a);
    }
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum = mix_f64(sum, a[i][j]);
    return bench_done("jacobi2d", sum);
}
