/* Dense matrix multiply, i-k-j order: the inner loop runs along rows. */
#include "bench.h"

enum { N = 96 };
static double a[N][N], b[N][N], c[N][N];

__attribute__((noinline)) static void kernel(double alpha, double beta)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            c[i][j] *= beta;
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i][j] += alpha * a[i][k] * b[k][j];
    }
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 60);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = ((i * j + 1) % N) / (double)N;
            b[i][j] = (i * (j + 1) % N) / (double)N;
            c[i][j] = (i * (j + 2) % N) / (double)N;
        }
    for (unsigned long u = 0; u < units * 15; bench_tick(++u, 15))
        kernel(0.015, 0.4);
    uint64_t sum = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum = mix_f64(sum, c[i][j]);
    return bench_done("gemm", sum);
}
