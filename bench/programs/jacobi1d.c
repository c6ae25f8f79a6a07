/* One-dimensional Jacobi stencil: adjacent doubles, perfectly vectorisable. */
#include "bench.h"

enum { N = 2000 };
static double a[N], b[N];

__attribute__((noinline)) static void kernel(double *restrict x, double *restrict y, int n)
{
    for (int i = 1; i < n - 1; i++)
        y[i] = 0.33333 * (x[i - 1] + x[i] + x[i + 1]);
    for (int i = 1; i < n - 1; i++)
        x[i] = 0.33333 * (y[i - 1] + y[i] + y[i + 1]);
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++) {
        a[i] = (i + 2.0) / N;
        b[i] = (i + 3.0) / N;
    }
    for (unsigned long u = 0; u < units * 2000; bench_tick(++u, 2000))
        kernel(a, b, N);
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        sum = mix_f64(sum, a[i]);
    return bench_done("jacobi1d", sum);
}
