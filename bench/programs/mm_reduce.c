/* Matrix multiply as a nest of reductions, i-j-k order, accumulating in memory: at
 * -O1 the compiler leaves a load, an add and a store in the innermost loop. */
#include "bench.h"

enum { N = 96 };
static double a[N][N], b[N][N], c[N][N];

__attribute__((noinline)) static void kernel(int n, double (*x)[N], double (*y)[N], double (*z)[N])
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            z[i][j] = 0.0;
            for (int k = 0; k < n; k++)
                z[i][j] += x[i][k] * y[k][j];
        }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = ((i * j + 1) % N) / (double)N;
            b[i][j] = (i * (j + 1) % N) / (double)N;
        }
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units * 6; bench_tick(++u, 6)) {
        kernel(N, a, b, c);
        sum = mix_f64(sum, c[u % N][(u / N) % N]);
        a[u % N][u % 7] = c[0][1] / N;
    }
    return bench_done("mm_reduce", sum);
}
